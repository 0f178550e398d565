"""`python -m cellflow_cli`, the same as the command `cellflow`."""

from cellflow_cli.cli.app import main

if __name__ == "__main__":
    main()
