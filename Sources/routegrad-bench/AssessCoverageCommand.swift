import ArgumentParser
import GSLNumerics
import RouteGrad

/// Checks what `routegrad assess` says of samples: how often its intervals hold the true value, which enumeration gives.
struct AssessCoverageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "assess-coverage",
    abstract: "How often the intervals of 'routegrad assess' hold the true value, on the problems that ship.")

  @Option(help: "Runs of each estimator, problem and number of samples.") var runs = 2000
  @Option(help: "Numbers of samples.") var samples = "10,30,100,1000,10000"
  @Option(help: "Estimators with a finite list of outcomes.")
  var estimators = "reinforce,straight-through,reinmax,conventional,sparsemixer,sparsemixer-v2,default-moe,exact"
  @Option(help: "Words that the names of problems contain; none: all of them.") var problems = ""
  @Option(help: "The confidence stated.") var confidence = 0.95
  @Option(help: "The seed.") var seed: UInt64 = 7
  @Option(help: "The number of threads.") var threads = 2
  @Flag(help: "A row for each problem, too.") var details = false

  private var sizes: [Int] { samples.split(separator: ",").compactMap { Int($0) } }

  func validate() throws {
    guard runs >= 1, threads >= 1, !sizes.isEmpty, sizes.allSatisfy({ $0 >= 2 }) else {
      throw ValidationError("expected whole numbers, of samples at least 2")
    }
    if let complaint = SampleAssessment.Options.confidenceLimit.complaint(about: confidence) {
      throw ValidationError("'--confidence': \(complaint)")
    }
  }

  func run() throws {
    let chosen = try EstimatorRegistry.estimators(list: estimators)
    let words = problems.split(separator: ",").map(String.init)
    let filed = try ShippedProblems.all().filter { filed in
      words.isEmpty || words.contains { filed.problem.name?.contains($0) ?? false }
    }
    let routed = try FiledProblem.route(filed, mask: nil).problems
    let trials = AssessmentTrials(confidence: confidence, seed: seed, threads: threads)
    print("confidence \(confidence), \(runs) runs for each problem, estimator and n, seed \(seed)")
    print("")
    print("| estimator | n | problems | mean | bias | cosine | variance | MSE | P(descent) | no radius |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for estimator in chosen {
      for n in sizes {
        var found: [(name: String, coverage: AssessmentTrials.Coverage)] = []
        for (problem, filed) in zip(routed, filed) {
          if let coverage = try? trials.coverage(of: estimator, on: problem, samples: n, runs: runs) {
            found.append((filed.problem.name ?? "", coverage))
          }
        }
        guard !found.isEmpty else { continue }
        /// The least and the middle of the shares of runs.
        func shares(_ value: (AssessmentTrials.Coverage) -> Int) -> String {
          let shares = found.map { Double(value($0.coverage)) / Double(runs) }.sorted()
          return "\(short(shares[0])) (\(short(shares[shares.count / 2])))"
        }
        let unbounded = found.map { Double($0.coverage.unbounded) / Double(runs) }.max() ?? 0
        let columns = [
          estimator.specification, "\(n)", "\(found.count)", shares(\.mean), shares(\.bias), shares(\.cosine),
          shares(\.variance), shares(\.squaredError), shares(\.descent), short(unbounded),
        ]
        print("| \(columns.joined(separator: " | ")) |")
        guard details else { continue }
        for (name, c) in found {
          let counts = [c.mean, c.bias, c.cosine, c.variance, c.squaredError, c.descent, c.unbounded]
          let rates = counts.map { short(Double($0) / Double(runs)) }.joined(separator: " | ")
          print("| \(name) | \(n) | | \(rates) |")
        }
      }
    }
  }

  private func short(_ x: Double) -> String { Figures.fixed(x, decimals: 3) }
}
