import CStandardLibrary
import GSLNumerics
import Testing
import _TestSupport

/// Integrals with closed forms, and what GSL refuses.
@Suite struct IntegrationTests {
  @Test(arguments: [Integration.Method.qags, .cquad])
  func finiteInterval(_ method: Integration.Method) throws {
    let smooth = try Integration.integrate({ exp($0) }, over: 0...1, method: method, relativeTolerance: 1e-12)
    expectClose([smooth.value], [exp(1) - 1], relative: 1e-13)
    #expect(smooth.error >= 0 && smooth.error <= 1e-11)
    #expect(smooth.evaluations >= 21)
    let singular = try Integration.integrate(
      { log($0) / $0.squareRoot() }, over: 0x1p-1000...1, method: method, relativeTolerance: 1e-9)
    expectClose([singular.value], [-4], relative: 1e-8)
  }

  @Test func halfLine() throws {
    let gauss = try Integration.integrate({ exp(-$0 * $0) }, from: 0, relativeTolerance: 1e-12)
    expectClose([gauss.value], [0.5 * Double.pi.squareRoot()], relative: 1e-13)
  }

  @Test func divergenceIsAnError() {
    #expect(throws: GSLError.self) {
      try Integration.integrate({ 1 / $0 }, over: 0x1p-1000...1, relativeTolerance: 1e-10, limit: 20)
    }
    #expect(throws: GSLError.self) { try Integration.integrate({ sin($0) }, from: 0) }
  }

  @Test func impossibleToleranceIsAnError() {
    #expect(throws: GSLError.self) {
      try Integration.integrate({ $0 }, over: 0...1, relativeTolerance: 1e-20)
    }
    #expect(throws: GSLError.self) {
      try Integration.integrate({ $0 }, over: 0...1, method: .cquad, limit: 1)
    }
    #expect(throws: GSLError.self) { try Integration.integrate({ $0 }, over: 0...1, limit: 0) }
  }
}
