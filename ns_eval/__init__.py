"""The engine of ns-eval: from a command line to graded samples on disk. It knows no benchmark, judge or metric by name."""
