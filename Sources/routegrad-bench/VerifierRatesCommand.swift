import ArgumentParser
import GSLNumerics
import RouteGrad

/// Checks the checker: its false-alarm rate where nothing is wrong, the mean of its e-values where it stops, and its power
/// where something is.
///
/// Null runs: α = 0.05, each run until it is refuted or `--length` samples are through; an e-value stopped so has mean 1
/// (optional stopping), which unstopped ones only seem to fall short of for lack of samples in their tails.
///
/// Power: a bias of δ in one coordinate at n = `requiredSamples`, which should be refuted with a probability of 1 − β; and
/// no bias, which should be found consistent with the same probability.
struct VerifierRatesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verifier-rates", abstract: "The verifier's measured error rates, next to those that it states.")

  @Option(help: "Null runs of each distribution.") var runs = 100_000
  @Option(help: "The samples of a null run.") var length = 1000
  @Option(help: "Runs with a bias, of each distribution.") var powerRuns = 4000
  @Option(help: "The seed.") var seed: UInt64 = 7
  @Option(help: "The number of threads.") var threads = 2

  func validate() throws {
    guard runs >= 1, length >= 1, powerRuns >= 0, threads >= 1 else {
      throw ValidationError("expected whole numbers of at least 1")
    }
  }

  func run() throws {
    print("α = 0.05, \(runs) null runs of at most \(length) samples, seed \(seed)")
    print("")
    print("| null distribution | false alarms | rate, 99.9 % limits (Clopper–Pearson) | mean of stopped e-values |")
    print("|---|--:|---|--:|")
    let null = VerifierTrials(rates: ErrorRates(falseFail: 0.05, falsePass: 1e-3), seed: seed, threads: threads)
    for source in SampleSource.all {
      print(row(source.name, null.nullRuns(of: source, runs: runs, length: length)))
    }
    for choices in VerifierTrials.choices {
      print(row(choices.name, null.choiceRuns(choices.probabilities, runs: runs, length: length)))
    }
    let joint = try null.jointRuns(runs: runs, length: length / 5)
    print(row("a router of 4, choices and gradients, \(length / 5) samples", joint))
    guard powerRuns > 0 else { return }
    let trials = VerifierTrials(rates: ErrorRates(), seed: seed, threads: threads)
    let promise = 1 - trials.rates.falsePass
    print("")
    print("α = 1e-6, β = 1e-3: \(powerRuns) runs each at n = requiredSamples, promised \(promise)")
    print("")
    print("| distribution | δ/σ | n | refuted at bias δ | passed at bias δ | consistent at bias 0 |")
    print("|---|--:|--:|--:|--:|--:|")
    for source in SampleSource.all {
      for ratio in [0.5, 0.1] {
        let power = trials.power(of: source, ratio: ratio, runs: powerRuns)
        print(
          "| \(source.name) | \(ratio) | \(power.samples) | \(power.refuted) | \(power.passedWrongly) "
            + "| \(power.consistent) |")
      }
    }
  }

  private func row(_ name: String, _ result: VerifierTrials.NullResult) -> String {
    let limits = binomialLimits(successes: result.alarms, of: result.runs, confidence: 0.999)
    func short(_ x: Double) -> String { "\((x * 1e5).rounded() / 1e5)" }
    return "| \(name) | \(result.alarms) | \(short(Double(result.alarms) / Double(result.runs))) "
      + "(\(short(limits.lowerBound))–\(short(limits.upperBound))) | \(short(result.mean)) ± \(short(result.standardError)) |"
  }
}
