import CRouteGrad
import RouteGrad
import Testing
import _TestSupport

/// What C is given is, bit for bit, what the program prints.
struct ReportIdentityTests {
  private func report(
    _ json: String, _ specification: String, mask: Mask? = nil, sampling: AssessmentOptions.Sampling? = nil
  ) throws -> DecodedJSON {
    let options = Report.Options(
      estimators: .listed([try EstimatorRegistry.estimator(specification)]), mask: mask,
      assessment: AssessmentOptions(covariance: true, sampling: sampling))
    let problems = try ProblemFile.problems(of: Array(json.utf8), file: "test")
    return try DecodedJSON(try Report(on: problems, options: options).json)["problems"][0]
  }

  @Test(
    arguments: [Samples.mixture, Samples.categorical],
    EstimatorSpecifications.all + [
      "gumbel-softmax-st:tau=0.7", "gumbel-rao:K=4", "reinmax-rao:tau=0.5,K=2", "switch:r=0.2", "gumbel-softmax",
    ])
  func momentsAndAssessments(json: String, specification: String) throws {
    let problem = try CProblem(json: json)
    let estimator = try CEstimator(specification)
    let entry = try report(json, specification)["estimators"][0]
    if entry.keys.contains("unavailable") {
      expectRefusal(
        rg_moments(problem.handle, estimator.handle, nil, nil, nil, nil, 3, nil), RG_UNAVAILABLE,
        try #require(entry["unavailable"].string))
      return
    }
    let moments = try problem.moments(estimator)
    #expect(moments.mean == entry["mean"].numbers)
    #expect(moments.variance == entry["variance"].numbers)
    #expect(moments.covariance == entry["covariance"].rows?.flatMap { $0 })
    #expect(moments.info.total_variance == entry["totalVariance"].number)
    #expect(moments.info.mean_error == entry["meanError"].number)
    #expect(moments.info.variance_error == entry["varianceError"].number)
    #expect((moments.info.outcomes < 0 ? nil : Double(moments.info.outcomes)) == entry["outcomes"].number)
    let methods = ["auto", "enumeration", "quadrature", "monte-carlo"]
    #expect(methods[Int(moments.info.method.rawValue)] == entry["method"].string)

    var target = [Double](repeating: 0, count: 3)
    var bias = target
    var numbers = rg_assessment()
    var covariance = [Double](repeating: 0, count: 9)
    try require(
      rg_assess(
        problem.handle, estimator.handle, "expected-loss", nil, nil, nil, &covariance, &target, &bias, 3, nil, &numbers)
    )
    #expect(target == entry["targetGradient"].numbers)
    #expect(bias == entry["bias"].numbers)
    for (value, name) in [
      (numbers.bias_norm, "biasNorm"), (numbers.relative_bias, "relativeBias"), (numbers.cosine, "cosine"),
      (numbers.best_scale, "bestScale"), (numbers.scaled_relative_bias, "scaledRelativeBias"),
      (numbers.relative_standard_deviation, "relativeStandardDeviation"),
      (numbers.mean_squared_error, "meanSquaredError"), (numbers.signal_to_noise, "signalToNoise"),
      (numbers.descent_probability, "descentProbability"), (numbers.expert_evaluations, "expertEvaluations"),
      (numbers.target_error, "targetError"),
    ] {
      #expect((value.isNaN ? nil : value) == entry[name].number, "\(name)")
    }
  }

  @Test(arguments: ["paper", "reference-code"]) func targetsAndMasks(rule: String) throws {
    let mask = try #require(Mask(rule: rule, threshold: 0.7))
    let reported = try report(Samples.mixture, "midpoint", mask: mask)
    let problem = try CProblem(json: Samples.mixture).masked(rule, 0.7)
    for target in GradientTarget.allCases.map(\.rawValue) {
      #expect(try problem.target(target) == reported["targets"][target].numbers)
    }
    var loss = 0.0
    try require(rg_expected_loss(problem.handle, &loss))
    #expect(loss == reported["expectedLoss"].number)
    #expect(try problem.moments(try CEstimator("midpoint")).mean == reported["estimators"][0]["mean"].numbers)
  }

  @Test(arguments: ["sparsemixer", "reinforce:baseline=leave-one-out,samples=3", "gumbel-softmax-st:tau=0.7"])
  func monteCarloAndSamples(specification: String) throws {
    let samples = 20_000
    let reported = try report(
      Samples.mixture, specification, sampling: .init(samples: samples, seed: 7))["estimators"][0]
    let problem = try CProblem(json: Samples.mixture)
    let estimator = try CEstimator(specification)
    var options = standardOptions()
    (options.method, options.samples, options.seed, options.threads) = (RG_METHOD_MONTE_CARLO, UInt64(samples), 7, 2)
    let moments = try problem.moments(estimator, options: options)
    #expect(moments.mean == reported["mean"].numbers)
    #expect(moments.info.samples == Int64(samples))

    var gradients = [Double](repeating: .nan, count: samples * 3)
    try require(rg_sample(problem.handle, estimator.handle, 7, 2, samples, &gradients, 3))
    for k in 0..<3 {
      let mean = stride(from: k, to: gradients.count, by: 3).reduce(0) { $0 + gradients[$1] } / Double(samples)
      #expect((mean - moments.mean[k]).magnitude <= 1e-12)
    }
    var serial = [Double](repeating: .nan, count: 17_000 * 3)
    try require(rg_sample(problem.handle, estimator.handle, 7, 1, 17_000, &serial, 3))
    #expect(serial[...] == gradients[..<serial.count])
  }

  @Test(arguments: ["sparsemixer", "reinforce:baseline=leave-one-out,samples=3", "sparsemixer-v2-top2", "exact"])
  func outcomes(specification: String) throws {
    let filed = try ProblemFile.problems(of: Array(Samples.mixture.utf8), file: "test")[0].problem
    let lines = try OutcomeLines(
      of: try EstimatorRegistry.estimator(specification), on: RoutedProblem(filed), location: "test")
    let problem = try CProblem(json: Samples.mixture)
    var list: OpaquePointer?
    try require(rg_outcomes_create(problem.handle, try CEstimator(specification).handle, &list))
    defer { rg_outcomes_destroy(list) }
    var shape = rg_outcomes_shape()
    try require(rg_outcomes_describe(list, &shape))
    #expect(shape.count == lines.count && shape.experts == 3)
    for index in 0..<shape.count {
      let line = try DecodedJSON(lines.text(index..<index + 1))
      var probability = 0.0
      var choice = [Int64](repeating: -2, count: shape.choice_width)
      var coins = [Int64](repeating: -2, count: shape.coins_width)
      var multiplier = [Double](repeating: 0, count: shape.multiplier_width)
      var gradient = [Double](repeating: 0, count: 3)
      try require(rg_outcomes_get(list, index, 1, &probability, &choice, &coins, &multiplier, &gradient))
      #expect(probability == line["probability"].number)
      #expect(gradient == line["gradient"].numbers)
      #expect(choice.filter { $0 >= 0 }.map(Double.init) == line["choice"].numbers)
      #expect(coins.filter { $0 >= 0 }.map(Double.init) == line["coins"].numbers)
      #expect(multiplier.filter { !$0.isNaN } == line["multiplier"].numbers)
    }
    expectRefusal(
      rg_outcomes_get(list, 1, shape.count, nil, nil, nil, nil, nil), RG_INVALID_ARGUMENT, "within the")
  }

  @Test func registry() throws {
    #expect(String(cString: try #require(rg_estimators_json())) == EstimatorCatalogue.json)
  }
}
