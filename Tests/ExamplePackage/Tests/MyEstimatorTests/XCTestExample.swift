import MyEstimator
import RouteGrad
import XCTest

/// The same with XCTest.
final class XCTestExample: XCTestCase {
  func testItIsExactForQuadraticLosses() {
    let generator = ProblemGenerator(kinds: [.mixture], objectives: [.linear, .quadratic], logits: [.ordinary, .ties])
    let result = PropertyCheck(generator).run { problem in
      let assessment = try Assessment(of: BothSlopes(), on: problem)
      guard let bias = assessment.relativeBias, bias > 1e-10 else { return nil }
      return "the relative bias is \(bias)"
    }
    XCTAssertTrue(result.holds, result.report)
  }

  func testItsDegreeIsCertified() throws {
    let certificate = try OrderCertificate(of: BothSlopes())
    XCTAssertEqual(certificate.verdict, .proved, "\(certificate)")
  }
}
