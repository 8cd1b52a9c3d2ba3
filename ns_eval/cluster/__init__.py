"""Where jobs run: cluster configs, the files that jobs leave, the scheduler of this machine, and Slurm."""
