import Foundation
import Testing
import _TestSupport

/// What people see, kept whole; a missing snapshot is a failure.
struct SnapshotTests {
  @Test func reportOnReinMaxPolynomials() throws {
    let snapshot = Fixtures.root.appending(path: "snapshots/report-reinmax-polynomial.txt")
    let run = try Tool.run(["report", Samples.shipped("reinmax-polynomial.json")])
    #expect(run.status == 0)
    #expect(
      try String(contentsOf: snapshot, encoding: .utf8) == run.output,
      "if the change is meant: routegrad report Fixtures/problems/reinmax-polynomial.json > \(snapshot.path)")
  }
}
