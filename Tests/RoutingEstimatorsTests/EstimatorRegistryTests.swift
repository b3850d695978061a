import Testing
import _TestSupport

@testable import RoutingEstimators

/// Specifications as people write them, well and badly.
@Suite struct EstimatorRegistryTests {
  private func message(_ specification: String) -> String? {
    do { _ = try EstimatorRegistry.estimator(specification) } catch { return error.description }
    return nil
  }

  @Test func idsAreDistinct() {
    let ids = EstimatorRegistry.types.map { $0.id }
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" } })
    #expect(EstimatorRegistry.standard.map { type(of: $0).id } == ids)
  }

  @Test(arguments: [
    ("reinforce", "reinforce:baseline=none"),
    ("reinforce:baseline=constant,value=0.50", "reinforce:baseline=constant,value=0.5"),
    ("reinforce:value=-3,baseline=constant", "reinforce:baseline=constant,value=-3"),
    ("reinforce:baseline=leave-one-out", "reinforce:baseline=leave-one-out,samples=2"),
    ("reinmax", "reinmax:tau=1"), ("reinmax:tau=1e-3", "reinmax:tau=0.001"),
    ("straight-through:tau=2.0", "straight-through:tau=2"), ("straight-through:draw-tau=1", "straight-through:tau=1"),
    ("straight-through:draw-tau=0.5", "straight-through:tau=1,draw-tau=0.5"), ("darn", "darn"), ("zgr", "zgr"),
    ("reinmax-rao:K=3", "reinmax-rao:tau=1,K=3"),
    ("conventional", "conventional"), ("exact", "exact"),
    ("sparsemixer-v2", "sparsemixer-v2:reference-constants=false"),
    ("sparsemixer-v2-top2:reference-constants=true", "sparsemixer-v2-top2:reference-constants=true"),
    ("quadrature", "quadrature:rule=gauss-legendre,points=3,evaluation=all-nodes"),
    (
      "quadrature:evaluation=one-node,points=2", "quadrature:rule=gauss-legendre,points=2,evaluation=one-node"
    ),
    ("quadrature:rule=heun3", "quadrature:rule=heun3,evaluation=all-nodes"),
    ("default-moe", "default-moe:k=1"),
  ])
  func reads(_ specification: String, as canonical: String) throws {
    let estimator = try EstimatorRegistry.estimator(specification)
    #expect(estimator.specification == canonical)
    #expect(try EstimatorRegistry.estimator(canonical).specification == canonical)
  }

  @Test(arguments: [
    ("reinmx", "unknown estimator 'reinmx'; did you mean 'reinmax'?"),
    ("sparse-mixer", "unknown estimator 'sparse-mixer'; did you mean 'sparsemixer'?"),
    ("straight_through", "unknown estimator 'straight_through'; did you mean 'straight-through'?"),
    ("ReinMax", "unknown estimator 'ReinMax'; did you mean 'reinmax'?"),
    ("reinmax:tau=0", "estimator 'reinmax': parameter 'tau': expected a finite number above 0, got '0'"),
    ("reinmax:tau=-1", "estimator 'reinmax': parameter 'tau': expected a finite number above 0, got '-1'"),
    ("reinmax:tau=inf", "estimator 'reinmax': parameter 'tau': expected a finite number above 0, got 'inf'"),
    ("reinmax:tau=nan", "estimator 'reinmax': parameter 'tau': expected a finite number above 0, got 'nan'"),
    ("reinmax:tau=", "estimator 'reinmax': parameter 'tau': expected a finite number above 0, got ''"),
    ("reinmax:tau", "estimator 'reinmax': expected key=value, got 'tau'"),
    ("reinmax:", "estimator 'reinmax': expected key=value, got ''"),
    ("reinmax:tau=1,", "estimator 'reinmax': expected key=value, got ''"),
    ("reinmax:tau=1,tau=1", "estimator 'reinmax': parameter 'tau' is given twice"),
    ("reinmax:temperature=1", "estimator 'reinmax': unknown parameter 'temperature'; expected tau"),
    ("conventional:tau=1", "estimator 'conventional': unknown parameter 'tau'; it takes none"),
    (
      "reinforce:baseline=median",
      "estimator 'reinforce': parameter 'baseline': expected none, constant, uniform-mean, optimal, "
        + "leave-one-out, got 'median'"
    ),
    (
      "reinforce:value=1",
      "estimator 'reinforce': 'value' goes with baseline=constant, not with baseline=none"
    ),
    ("reinforce:baseline=constant", "estimator 'reinforce': baseline=constant needs value=b"),
    (
      "reinforce:baseline=optimal,samples=4",
      "estimator 'reinforce': 'samples' goes with baseline=leave-one-out, not with baseline=optimal"
    ),
    (
      "reinforce:baseline=leave-one-out,samples=1",
      "estimator 'reinforce': parameter 'samples': expected a whole number from 2 to 1000000, got '1'"
    ),
    (
      "quadrature:rule=simpson,points=3",
      "estimator 'quadrature': 'points' goes with rule=gauss-legendre, not with rule=simpson"
    ),
    (
      "quadrature:points=65",
      "estimator 'quadrature': parameter 'points': expected a whole number from 1 to 64, got '65'"
    ),
    (
      "quadrature:points=2.0",
      "estimator 'quadrature': parameter 'points': expected a whole number from 1 to 64, got '2.0'"
    ),
    (
      "sparsemixer-v2:reference-constants=yes",
      "estimator 'sparsemixer-v2': parameter 'reference-constants': expected true or false, got 'yes'"
    ),
    (
      "default-moe:k=0",
      "estimator 'default-moe': parameter 'k': expected a whole number of at least 1, got '0'"
    ),
  ])
  func refuses(_ specification: String, _ expected: String) {
    #expect(message(specification) == expected)
  }

  @Test func farFetchedNamesGetTheWholeList() {
    for name in ["", "something else entirely"] {
      let ids = (EstimatorRegistry.types + EstimatorRegistry.ofLayers).map { $0.id }.joined(separator: ", ")
      #expect(message(name) == "unknown estimator '\(name)'; expected one of \(ids)" || name.isEmpty)
      #expect(message(name)?.hasPrefix("unknown estimator '\(name)'; ") == true)
    }
  }

  @Test func lists() throws {
    func read(_ list: String) throws -> [String] {
      try EstimatorRegistry.estimators(list: list).map(\.specification)
    }
    #expect(try read("exact") == ["exact"])
    #expect(try read("conventional,exact") == ["conventional", "exact"])
    #expect(
      try read("quadrature:rule=gauss-legendre,points=3,evaluation=one-node,reinmax:tau=2,exact") == [
        "quadrature:rule=gauss-legendre,points=3,evaluation=one-node", "reinmax:tau=2", "exact",
      ])
    #expect(
      try read("reinforce:baseline=constant,value=2,reinforce") == [
        "reinforce:baseline=constant,value=2", "reinforce:baseline=none",
      ])
    for list in ["", "exact,", ",exact", "exact,,exact", "tau=1", "exact,tau=1", "exact;conventional"] {
      #expect(throws: InvalidEstimator.self, "\(list)") { try EstimatorRegistry.estimators(list: list) }
    }
  }

  @Test func editDistance() {
    #expect(Specification.editDistance("", "abc") == 3)
    #expect(Specification.editDistance("abc", "") == 3)
    #expect(Specification.editDistance("kitten", "sitting") == 3)
    #expect(Specification.editDistance("same", "same") == 0)
    #expect(Specification.nearest(to: "axact", among: ["exact", "abc"]) == "exact")
    #expect(Specification.nearest(to: "zzzzz", among: ["exact"]) == nil)
    #expect(Specification.nearest(to: "a", among: []) == nil)
  }

  @Test func values() {
    var values: ParameterValues = ["tau": .number(2), "K": .integer(3)]
    #expect(values.description == "tau=2,K=3" && !values.isEmpty)
    values["tau"] = .number(0.1)
    #expect(values.description == "K=3,tau=0.1")
    values["K"] = nil
    #expect(values == ["tau": .number(0.1)] && values != ["tau": .number(0.2)])
    #expect(
      ParameterValue.number(1e300).description == "1e+300" && ParameterValue.number(-3).description == "-3")
    #expect(ParameterValue.word("x").description == "x" && ParameterValue.flag(true).description == "true")
  }
}
