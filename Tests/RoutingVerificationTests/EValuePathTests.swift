import RoutingCore
import RoutingEstimators
import RoutingExpectations
import Testing
import _TestSupport

@testable import RoutingVerification

/// The looks that are kept of an e-value.
struct EValuePathTests {
  /// Few are all kept, of many no more than are allowed, evenly spread; the last one always.
  @Test(arguments: [1, 2, 199, 200, 201, 398, 399, 400, 1000, 12_345])
  func theLastLookIsKept(looks: Int) throws {
    var path = EValuePath()
    for k in 1...looks { path.add(.init(samples: 3 * k, logEValue: Double(-k))) }
    let points = path.points
    #expect(points.count <= EValuePath.mostPoints)
    #expect(points.count >= min(looks, EValuePath.mostPoints / 2))
    #expect(points.first == .init(samples: 3, logEValue: -1))
    #expect(points.last == .init(samples: 3 * looks, logEValue: Double(-looks)))
    let gaps = Set(zip(points, points.dropFirst().dropLast()).map { $1.samples - $0.samples })
    #expect(gaps.count <= 1, "the looks between are evenly spread")
  }

  @Test func aSecondLookAtTheSameSamplesReplacesTheFirst() {
    var path = EValuePath()
    path.add(.init(samples: 1, logEValue: 0))
    path.add(.init(samples: 2, logEValue: 1))
    path.add(.init(samples: 2, logEValue: 5))
    #expect(path.points == [.init(samples: 1, logEValue: 0), .init(samples: 2, logEValue: 5)])
  }

  /// The path ends in the e-value that decides, and does not depend on how samples are handed over.
  @Test(arguments: [1, 7, 1000])
  func thePathIsTheSamples(batch: Int) throws {
    let problem = try #require(TestProblems.standard.first { $0.problem.kind == .mixture }).problem
    let claim = try Claim(Conventional(), on: problem)
    let list = try Conventional().outcomes(of: problem)
    let gradients = list.outcomes.map { list.gradient(of: $0) }
    // Any samples within the bounds will do.
    let rows = (0..<1500).map { gradients[($0 * 7919) % gradients.count] }
    func evidence(_ size: Int) throws -> Evidence.Mean {
      var verifier = try SampleVerifier(claim, criteria: Criteria(), budget: 1500)
      var start = 0
      while start < rows.count, verifier.add(Array(rows[start..<min(start + size, rows.count)].joined())) {
        start += size
      }
      for case .mean(let part) in verifier.finish().parts { return part }
      throw Missing()
    }
    let part = try evidence(batch)
    #expect(part.path == (try evidence(1500)).path)
    let last = try #require(part.path.last)
    #expect(last.samples == part.samples && last.logEValue == part.jointLogEValue && part.path.count > 10)
    #expect(part.path.map(\.samples) == part.path.map(\.samples).sorted())
  }

  private struct Missing: Error {}
}
