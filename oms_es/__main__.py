"""`python -m oms_es` is `oms`."""

from oms_es.cli.app import main

if __name__ == "__main__":
    main()
