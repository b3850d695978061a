import CStandardLibrary
import GSLNumerics
import Testing
import _TestSupport

/// GSL's own rules, checked by what they integrate: they are what ours are held against.
@Suite struct ReferenceRulesTests {
  /// GSL has tables of 1 to 20, 32 and 64 points; other rules it computes as it goes, to about 1e-10.
  @Test(arguments: 1...64)
  func gaussLegendreIntegratesPolynomials(_ n: Int) throws {
    let tolerance = n <= 20 || n == 32 || n == 64 ? 4e-15 : 1e-10
    let rule = try ReferenceRules.gaussLegendre(n)
    #expect(rule.count == n)
    #expect(rule.allSatisfy { $0.node > 0 && $0.node < 1 && $0.weight > 0 })
    for q in 0..<2 * n {
      let integral = rule.reduce(0) { $0 + $1.weight * pow($1.node, Double(q)) }
      expectClose(integral, 1 / Double(q + 1), within: tolerance, "degree \(q) with \(n) points")
    }
    guard n <= 8 else { return }
    let beyond = rule.reduce(0) { $0 + $1.weight * pow($1.node, Double(2 * n)) }
    #expect((beyond - 1 / Double(2 * n + 1)).magnitude > 1e-12, "not exact one degree higher")
  }

  @Test func gaussLegendreNeedsAPoint() {
    #expect(throws: GSLError.self) { try ReferenceRules.gaussLegendre(0) }
    #expect(throws: GSLError.self) { try ReferenceRules.gaussLegendre(-3) }
  }

  @Test func steppersAreTheClassicalMethods() throws {
    // GSL takes rk4 as two half steps, for its error estimate: Simpson's rule on [0, ½] and [½, 1], exact for
    // cubics, and 77/384 for t⁴.
    for q in 0...3 {
      expectClose(try ReferenceRules.step(.rk4) { pow($0, Double(q)) }.value, 1 / Double(q + 1), ulps: 4)
      expectClose(try ReferenceRules.step(.rkf45) { pow($0, Double(q)) }.value, 1 / Double(q + 1), ulps: 4)
    }
    expectClose(try ReferenceRules.step(.rk4) { $0 * $0 * $0 * $0 }.value, 77.0 / 384, ulps: 4)
    expectClose(try ReferenceRules.step(.rkf45) { $0 * $0 * $0 * $0 }.value, 0.2, ulps: 4)
    #expect(try ReferenceRules.step(.rkf45) { $0 }.evaluations > 4)
  }

  @Test func functionsThatAreNotFinite() throws {
    // A status or a NaN, never an abort.
    do {
      #expect(try ReferenceRules.step(.rkf45) { _ in .nan }.value.isNaN)
    } catch {
      #expect(error.operation == "Runge–Kutta step")
    }
  }
}
