import CStandardLibrary
import Testing
import _TestSupport

@testable import RoutingEstimators

/// The rules' own moments. Against GSL's tables and steppers they are held in RoutingExpectationsTests.
@Suite struct QuadratureRuleTests {
  static let all =
    QuadratureRule.fixed + (1...QuadratureRule.largestGaussLegendre).map(QuadratureRule.gaussLegendre)

  @Test func names() {
    #expect(QuadratureRule.fixed.map(\.name) == ["euler", "midpoint", "heun3", "simpson", "rkf4", "rkf5"])
    #expect(QuadratureRule.fixed.map(\.degree) == [1, 2, 3, 4, 4, 5])
    #expect(QuadratureRule.gaussLegendre(5).degree == 10)
  }

  @Test(arguments: all)
  func integratesItsDegree(_ rule: QuadratureRule) {
    #expect(rule.nodes.count == rule.weights.count)
    #expect(rule.nodes.allSatisfy { (0...1).contains($0) })
    #expect(Set(rule.nodes).count == rule.nodes.count)
    func moment(_ q: Int) -> Double {
      zip(rule.nodes, rule.weights).reduce(0) { $0 + $1.1 * pow($1.0, Double(q - 1)) }
    }
    for q in 1...rule.degree {
      expectClose(moment(q), 1 / Double(q), within: 4e-15, "\(rule.name), degree \(q)")
    }
    // One degree higher the error of Gauss–Legendre falls off like 16^{−n}.
    guard rule.degree <= 16 else { return }
    #expect((moment(rule.degree + 1) - 1 / Double(rule.degree + 1)).magnitude > 1e-11, "\(rule.name)")
  }

  @Test(arguments: 1...QuadratureRule.largestGaussLegendre)
  func gaussLegendreIsSymmetric(_ n: Int) {
    let rule = QuadratureRule.gaussLegendre(n)
    #expect(rule.nodes == rule.nodes.sorted() && rule.nodes.count == n)
    for k in 0..<n {
      #expect(rule.weights[k] == rule.weights[n - 1 - k] && rule.weights[k] > 0)
      expectClose(rule.nodes[k], 1 - rule.nodes[n - 1 - k], within: 2e-16)
    }
    if n % 2 == 1 { #expect(rule.nodes[n / 2] == 0.5) }
  }

  @Test func smallGaussLegendreRules() {
    #expect(QuadratureRule.gaussLegendre(1).nodes == [0.5] && QuadratureRule.gaussLegendre(1).weights == [1])
    let two = QuadratureRule.gaussLegendre(2)
    expectClose(two.nodes, [0.5 - 1 / 12.0.squareRoot(), 0.5 + 1 / 12.0.squareRoot()], relative: 3e-16)
    expectClose(two.weights, [0.5, 0.5], relative: 3e-16)
  }

  @Test func wrongRulesTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = QuadratureRule(name: "wrong", nodes: [1, 1.0 / 3], weights: [0.3, 0.7], degree: 2)
    }
    await #expect(processExitsWith: .failure) { _ = QuadratureRule.gaussLegendre(0) }
    await #expect(processExitsWith: .failure) { _ = QuadratureRule.gaussLegendre(65) }
  }
}

extension QuadratureRule: CustomTestStringConvertible {
  public var testDescription: String { "\(name) \(nodes.count)" }
}
