import Testing

@testable import RoutingReports

struct MedianTests {
  @Test(arguments: [([], nil), ([3], 3), ([4, 1, 2], 2), ([4, 1, 2, 3], 2.5)] as [([Double], Double?)])
  func medians(values: [Double], expected: Double?) {
    #expect(median(values) == expected)
  }
}
