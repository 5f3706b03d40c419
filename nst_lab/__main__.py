"""`python -m nst_lab` is the command `nst-lab`."""

from nst_lab.app import main

main()
