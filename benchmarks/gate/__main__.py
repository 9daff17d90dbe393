from benchmarks.gate.words import main

main()
