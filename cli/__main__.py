"""`python -m oms_es.cli` is `oms`, like `python -m oms_es`."""

from oms_es.cli.app import main

if __name__ == "__main__":
    main()
