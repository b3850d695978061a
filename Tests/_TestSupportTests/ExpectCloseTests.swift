import Testing
import _TestSupport

/// The comparisons that everything else leans on.
@Suite struct ExpectCloseTests {
  @Test func distances() {
    #expect(ulps(from: 1, to: 1) == 0)
    #expect(ulps(from: 1.0.nextUp, to: 1) == 1)
    #expect(ulps(from: 1 - 0x1p-53, to: 1) == 0.5)
    #expect(ulps(from: -1, to: 1) == 0x1p53)
    #expect(ulps(from: .leastNonzeroMagnitude, to: 0) == 1 && ulps(from: -0.0, to: 0) == 0)
    #expect(ulps(from: .infinity, to: .infinity) == 0 && ulps(from: .infinity, to: -.infinity) == .infinity)
    #expect(ulps(from: .infinity, to: 1e308) == .infinity && ulps(from: 1, to: .infinity) == .infinity)
    #expect(ulps(from: .nan, to: .nan) == 0 && ulps(from: .nan, to: 1) == .infinity)
    #expect(ulps(from: 1, to: .nan) == .infinity)
  }

  @Test func relativeErrors() {
    #expect(relativeError(of: [1, 2.5], from: [1, 2]) == 0.25)
    #expect(relativeError(of: [1, 2.5], from: [1, 2], scale: 5) == 0.1)
    #expect(relativeError(of: [0], from: [0]) == 0 && relativeError(of: [1e-300], from: [0]) == .infinity)
    #expect(relativeError(of: [1], from: [1, 1]) == .infinity)
    #expect(
      relativeError(of: [.nan], from: [.nan]) == .infinity
        && relativeError(of: [.infinity], from: [1]) == .infinity)
    #expect(relativeError(of: [], from: []) == 0)
  }

  @Test func failuresAreRecorded() {
    withKnownIssue {
      expectClose(1.0.nextUp, 1, ulps: 0.5, "inputs")
    } matching: {
      $0.comments.description.contains("inputs")
    }
    withKnownIssue { expectClose(Double.nan, 1, ulps: 1e300) }
    withKnownIssue { expectClose(2, 1, within: 0.5) }
    withKnownIssue { expectClose(Double.nan, 1, within: .infinity) }
    withKnownIssue { expectClose([1, .nan], [1, 2], relative: 1e300) }
    withKnownIssue { expectClose([1, 3], [1, 2], relative: 0.1, quantity: "mean", "inputs") }
    expectClose(1.0.nextUp, 1, ulps: 1)
    expectClose(1.5, 1, within: 0.5)
    expectClose([1, 2.1], [1, 2], relative: 0.06)
    expectClose([1e-20], [0], relative: 1e-12, scale: 1)
  }

  @Test func worstErrorsAreKept() {
    let worst = WorstError("test")
    worst.record(-2, of: "a", at: "first")
    worst.record(1, of: "a", at: "second")
    worst.record(0, of: "b", at: "third")
    #expect(worst["a"]?.error == 2 && worst["a"]?.place == "first" && worst["a"]?.comparisons == 2)
    #expect(worst["b"]?.error == 0 && worst["c"] == nil)
    worst.record(.nan, of: "b", at: "fourth")
    #expect(worst["b"]?.error == .infinity)
    #expect(worst.summary.split(separator: "\n").count == 2)
    #expect(worst.summary.contains("test | a | 2.00e+00 | first | 2 comparisons"))
  }
}
