"""How fast a deployment is: step times from bytes moved, arithmetic, communication and host work. Floor 4, pure. `shapes` holds what goes
in and what comes out, `model` reads a model's shape, `steps` gives the time of one prefill and one decode step, `serving` and `local` what
they add up to under a load, `bands` how far off that is. `docs/throughput.md` derives the formulas."""
