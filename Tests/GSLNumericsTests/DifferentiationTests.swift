import CStandardLibrary
import GSLNumerics
import Testing
import _TestSupport

/// Numerical derivatives of functions whose derivatives are known.
@Suite struct DifferentiationTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var f: @Sendable (Double) -> Double
    var slope: @Sendable (Double) -> Double
    var testDescription: String { name }
  }

  static let cases = [
    Case(name: "sin", f: { sin($0) }, slope: { cos($0) }),
    Case(name: "exp", f: { exp($0) }, slope: { exp($0) }),
    Case(name: "cube", f: { $0 * $0 * $0 }, slope: { 3 * $0 * $0 }),
    Case(name: "log cosh", f: { log(cosh($0)) }, slope: { tanh($0) }),
    Case(
      name: "power", f: { pow($0.magnitude, 2.5) },
      slope: { 2.5 * pow($0.magnitude, 1.5) * ($0 < 0 ? -1 : 1) }),
    Case(name: "constant", f: { _ in 3 }, slope: { _ in 0 }),
  ]

  @Test(arguments: cases, [-2.25, -0.5, 0.1, 1.0, 3.75])
  func agreesWithinItsOwnError(_ function: Case, _ x: Double) throws {
    let result = try derivative(of: function.f, at: x)
    #expect(result.error >= 0 && result.error < 1e-8)
    // GSL's error is an estimate; twice that and a few roundings is what its documentation leaves room for.
    let rounding = 1e-12 * (1 + function.f(x).magnitude + function.slope(x).magnitude)
    expectClose(
      result.value, function.slope(x), within: 2 * result.error + rounding, "\(function.name) at \(x)")
    #expect(result.evaluations == 4 || result.evaluations == 8, "a 5-point rule, once or twice")
  }

  @Test func errorIsNotAnExcuse() throws {
    // The estimate must shrink with the problem, or the comparison above means nothing.
    let result = try derivative(of: { sin($0) }, at: 1, step: 1e-3)
    #expect(result.error < 1e-9)
    let rough = try derivative(of: { ($0 - 1).magnitude }, at: 1.0001, step: 1e-2)
    #expect(rough.error > 1e-3, "a kink within the step shows in the error")
  }

  @Test func functionsThatAreNotFiniteComeBack() throws {
    // Nothing aborts; the result says that it is not a number.
    #expect(try derivative(of: { _ in .nan }, at: 0).value.isNaN)
    #expect(try !derivative(of: { 1 / $0 }, at: 0, step: 1e-3).value.isNaN)
    #expect(try !derivative(of: { _ in .infinity }, at: 0).value.isFinite)
  }

  @Test func functionIsCalledNearby() throws {
    var farthest = 0.0
    _ = try derivative(
      of: { x in
        farthest = max(farthest, (x - 5).magnitude)
        return x * x
      }, at: 5, step: 0.25)
    #expect(farthest == 0.25)
  }
}
