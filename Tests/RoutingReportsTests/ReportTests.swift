import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Synchronization
import Testing

import enum _TestSupport.DecodedJSON

@testable import RoutingReports

struct ReportTests {
  private static func shipped(_ name: String) throws -> FiledProblem {
    try #require(try ShippedProblems.all().first { $0.problem.name == name })
  }

  @Test func standardSelectionIsWhatCanBeEnumerated() throws {
    let report = try Report(on: [
      Self.shipped("categorical-8-cross-entropy"), Self.shipped("mixture-8-log-cosh"),
    ])
    // What draws subsets is reported on where it is asked for.
    let registry = EstimatorRegistry.standard.filter { $0 is any FiniteOutcomeEstimator && $0.claims.subsets == nil }
    for problem in report.problems {
      #expect(
        problem.entries.map { $0.estimator.specification }
          == registry.filter { $0.claims.kinds.contains(problem.routed.kind) }.map(\.specification))
    }
    #expect(report.note == nil)
  }

  @Test func listedEstimatorsStandInTheirOrderAndSayWhyTheyAreMissing() throws {
    let estimators = try EstimatorRegistry.estimators(list: "exact,midpoint,reinmax:tau=1.3")
    let report = try Report(
      on: [Self.shipped("categorical-8-cross-entropy")], options: .init(estimators: .listed(estimators)))
    let entries = report.problems[0].entries
    #expect(entries.map { $0.estimator.specification } == ["exact", "midpoint", "reinmax:tau=1.3"])
    #expect(throws: Unavailable("needs a mixture problem")) { try entries[1].result.get() }
    let listed = try DecodedJSON(report.json)["problems"][0]["estimators"]
    #expect(
      listed[1] == .object(["id": .string("midpoint"), "unavailable": .string("needs a mixture problem")]))
    #expect(listed[2]["parameters"] == .object(["tau": .number(1.3)]))
    #expect(report.csv.split(separator: "\n")[2].hasSuffix(",needs a mixture problem"))
    #expect(report.rendered(as: .table).contains("Not available: midpoint (needs a mixture problem)."))
  }

  /// Every number of the report is the library's own, to the bit.
  @Test(arguments: ["categorical-8-cross-entropy", "mixture-8-log-cosh"])
  func jsonHoldsTheAssessments(name: String) throws {
    let filed = try Self.shipped(name)
    let options = AssessmentOptions(covariance: true)
    let json = try DecodedJSON(try Report(on: [filed], options: .init(assessment: options)).json)
    #expect(json["schema"].string == "routegrad.report/1")
    #expect(json["version"].string == routeGradVersion)
    let problem = json["problems"][0]
    let routed = try RoutedProblem(filed.problem)
    #expect(problem["expectedLoss"].number == (try routed.expectedLoss()))
    #expect(problem["targets"]["expected-loss"].numbers == (try routed.expectedLossGradient()))
    for entry in problem["estimators"].items where !entry.keys.contains("unavailable") {
      let id = try #require(entry["id"].string)
      let estimator = try #require(EstimatorRegistry.standard.first { type(of: $0).id == id })
      let assessment = try Assessment(of: estimator, on: routed, options: options)
      #expect(entry["mean"].numbers == assessment.estimate.moments.mean)
      #expect(entry["variance"].numbers == assessment.estimate.moments.variance)
      #expect(entry["covariance"].rows == assessment.estimate.moments.covariance?.asRows)
      #expect(entry["targetGradient"].numbers == assessment.targetGradient)
      #expect(entry["bias"].numbers == assessment.bias)
      #expect(entry["outcomes"].number == assessment.estimate.outcomes.map(Double.init))
      for scalar in Assessment.scalars {
        #expect(entry[scalar.name].number == scalar.value(assessment), "\(id) \(scalar.name)")
      }
    }
  }

  @Test func ownTargetsAreForPeopleOnly() throws {
    let problem = try Self.shipped("mixture-8-log-cosh")
    let report = try Report(on: [problem], options: .init(ownTargets: true))
    let own = report.problems[0].entries.filter { $0.ownTarget != nil }
    #expect(
      own.map { type(of: $0.estimator).id } == [
        "conventional", "sparsemixer-v2", "sparsemixer-v2-top2", "dense-backward", "default-moe",
      ])
    let table = report.rendered(as: .table)
    for entry in own { #expect(table.contains("\n    vs \(entry.estimator.claims.target.rawValue) ")) }
    #expect(!report.json.contains("vs "))
    // What is exact for its own target is 0 there, and not against the expected loss.
    let lines = table.split(separator: "\n").map { $0.split(separator: " ") }
    let row = try #require(lines.firstIndex { $0.first == "conventional" })
    #expect(lines[row][1] != "0")
    #expect(lines[row + 1].prefix(3) == ["vs", "gating-term", "0"])
  }

  @Test func masksFollowTheKindOfProblem() throws {
    let categorical = try Self.shipped("categorical-8-cross-entropy")
    let mixture = try Self.shipped("mixture-8-log-cosh")
    let mask = Mask.paper(threshold: 0.5)
    let mixed = try Report(on: [categorical, mixture], options: .init(mask: mask))
    #expect(mixed.problems.map { $0.routed.mask } == [.none, mask])
    #expect(mixed.note == "categorical problems take no mask: 1 of 2 go without")
    let error = #expect(throws: Refusal.self) {
      try Report(on: [categorical], options: .init(mask: mask))
    }
    #expect(error?.code == .wrongUsage)
    #expect(error?.description.contains("a categorical problem takes no mask") == true)
    #expect(try Report(on: [categorical], options: .init(mask: Mask.none)).problems.count == 1)
  }

  @Test func targetsFollowTheKindOfProblem() throws {
    let categorical = try Self.shipped("categorical-8-cross-entropy")
    let options = Report.Options(assessment: AssessmentOptions(target: .routingTerm))
    let error = #expect(throws: Refusal.self) { try Report(on: [categorical], options: options) }
    #expect(error?.code == .wrongUsage)
    let mixed = try Report(on: [categorical, Self.shipped("mixture-8-log-cosh")], options: options)
    #expect(try mixed.problems[0].entries.allSatisfy { try $0.result.get().relativeBias == nil })
    #expect(try mixed.problems[1].entries[0].result.get().relativeBias != nil)
  }

  @Test func overflowNamesTheProblem() throws {
    let problem = FiledProblem(
      .mixture(
        try MixtureProblem(
          name: "huge", logits: [0, 1], expertOutputs: [[1e200], [1]], loss: try Linear(coefficients: [1]))),
      file: "f.json", place: "problems[4]")
    let error = #expect(throws: Refusal.self) { try Report(on: [problem]) }
    #expect(error?.code == .wrongData)
    #expect(
      error?.description
        == "f.json: problems[4] (huge): the variance of reinforce:baseline=none overflows Float64")
  }

  @Test func threadsDoNotChangeAByte() throws {
    let problems = try ["reinmax-polynomial-3", "mixture-8-linear", "mixture-8-log-cosh"].map(Self.shipped)
    let estimators = try EstimatorRegistry.estimators(list: "reinforce,sparsemixer,exact")
    let sampling = AssessmentOptions.Sampling(samples: 40_000, seed: 3)
    let reports = try [1, 2, 3, 16].map { threads in
      try Report(
        on: problems,
        options: .init(
          estimators: .listed(estimators), assessment: AssessmentOptions(sampling: sampling), threads: threads
        )
      ).json
    }
    for report in reports { #expect(report == reports[0]) }
  }

  @Test func summaryIsOfAllProblemsOfAKind() throws {
    let problems = try ShippedProblems.all().filter { $0.file == "reinmax-polynomial.json" }
    let report = try Report(on: problems)
    let biases = try report.problems.map {
      try #require(try $0.entries.first { $0.label == "reinmax" }?.result.get().relativeBias)
    }.sorted()
    let lines = report.rendered(as: .table).split(separator: "\n").map {
      $0.split(separator: " ").map(String.init)
    }
    let start = try #require(
      lines.firstIndex { $0.starts(with: ["Summary", "of", "3", "categorical", "problems"]) })
    let row = try #require(lines[start...].first { $0.first == "reinmax" })
    #expect(row[1...3] == ["3", Figures.ratio(biases[1]), Figures.ratio(biases[2])])
    #expect(!(try Report(on: [problems[0]]).rendered(as: .table).contains("Summary")))
  }

  @Test func everyLineFitsTheWidth() throws {
    var problems = try Array(ShippedProblems.all().prefix(12))
    let long = String(repeating: "nämé|", count: 60)
    problems.append(
      FiledProblem(
        .categorical(
          try CategoricalProblem(name: long, logits: [0], objective: try Linear(coefficients: [1]))),
        file: "f"))
    let estimators =
      EstimatorRegistry.standard
      + (try EstimatorRegistry.estimators(
        list: "quadrature:rule=gauss-legendre,points=64,evaluation=one-node,"
          + "reinforce:baseline=constant,value=-1.2345678901234567e-300,reinforce:baseline=leave-one-out,samples=100"
      ))
    // Integrals of many problems take too long in a debug build, those of relaxed draws above all: two are enough to see how wide they are written.
    let integrated = estimators.filter { !($0 is any ControlledRelaxation) }
    let finite = estimators.filter { $0 is any FiniteOutcomeEstimator }
    let sampling = AssessmentOptions(sampling: .init(samples: 2, seed: .max))
    let mixture = try #require(problems.first { $0.problem.kind == .mixture })
    for (problems, estimators, assessment) in [
      (problems, finite, AssessmentOptions()), (problems, finite, sampling),
      ([problems[0], mixture], integrated, AssessmentOptions()),
      ([problems[0], mixture], estimators, sampling),
    ] {
      let options = Report.Options(estimators: .listed(estimators), assessment: assessment, ownTargets: true)
      let text = try Report(on: problems, options: options).rendered(as: .table)
      for line in text.split(separator: "\n") { #expect(line.count <= TextTable.width, "\(line)") }
      #expect(!text.contains(" \n"))
    }
  }

  @Test func zeroTargetsAreNull() throws {
    let problem = FiledProblem(
      .mixture(
        try MixtureProblem(logits: [2], expertOutputs: [[1]], loss: try Linear(coefficients: [1]))),
      file: "f.json")
    let first = try DecodedJSON(try Report(on: [problem]).json)["problems"][0]
    #expect(first["name"] == .null)
    let entry = first["estimators"][0]
    for field in ["relativeBias", "cosine", "bestScale", "signalToNoise", "descentProbability"] {
      #expect(entry[field] == .null && entry.keys.contains(field), "\(field)")
    }
    #expect(entry["biasNorm"].number == 0)
  }

  /// What takes long is asked whether to go on: sampling, integrals, and between estimators.
  @Test("a report can be called off", arguments: [0, 1, 2])
  func calledOff(_ answers: Int) throws {
    let left = Atomic(answers)
    let sampling = AssessmentOptions.Sampling(samples: 1_000_000, seed: 0)
    for assessment in [AssessmentOptions(), AssessmentOptions(sampling: sampling)] {
      left.store(answers, ordering: .relaxed)
      let error = #expect(throws: Refusal.self) {
        try Report(
          on: [Self.shipped("mixture-8-log-cosh")],
          options: .init(estimators: .listed([Switch(), GumbelRao(), ReinMax()]), assessment: assessment),
          continuing: { left.subtract(1, ordering: .relaxed).newValue >= 0 })
      }
      #expect(error?.code == .interrupted)
    }
  }
}
