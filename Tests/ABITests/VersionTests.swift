import CRouteGrad
import RouteGrad
import Testing

struct VersionTests {
  @Test func isTheReports() throws {
    #expect(String(cString: try #require(rg_version())) == routeGradVersion)
  }
}
