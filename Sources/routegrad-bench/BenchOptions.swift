import ArgumentParser

/// The flags that every workload takes; the same as those of the programs it is measured against.
struct BenchOptions: ParsableArguments {
  @Option(help: "The number of threads.")
  var threads = 2

  @Option(help: "The number of quiet samples to take.")
  var repeats = 9

  @Option(help: "Untimed runs before the first sample.")
  var warmup = 2

  @Option(help: "Stop sampling after this many seconds if the machine is never quiet.")
  var budget = 20.0

  @Option(help: "Sample only while other processes leave the processor alone, waiting up to this many seconds in all.")
  var waitQuiet = 0.0

  @Flag(help: "Accepted for the peers' sake; RouteGrad does not tune malloc.")
  var noMallocTuning = false

  @Flag(help: "Accepted for the peers' sake; RouteGrad does not use MKL.")
  var mklShim = false

  @Option(
    help: "A command that prints the same JSON line; it is run in turn with this workload and the ratio is printed.")
  var against: String?

  @Option(help: "The number of pairs to run with --against.")
  var pairs = 3

  func validate() throws {
    try requirePositive([("--threads", threads), ("--repeats", repeats), ("--pairs", pairs)])
    guard warmup >= 0 else { throw ValidationError("--warmup: expected at least 0, got \(warmup)") }
    guard budget > 0, waitQuiet >= 0 else {
      throw ValidationError("--budget and --wait-quiet: expected seconds, got \(budget) and \(waitQuiet)")
    }
  }
}

/// Throws for the first option whose value is below 1.
func requirePositive(_ options: [(name: String, value: Int)]) throws(ValidationError) {
  for (name, value) in options where value < 1 {
    throw ValidationError("\(name): expected a whole number of at least 1, got \(value)")
  }
}
