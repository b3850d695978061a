import Testing

@testable import RoutingReports

struct CSVTests {
  @Test func quotesWhatNeedsIt() {
    let csv = CSV(
      header: ["a", "b"], rows: [["x,y", nil], ["say \"hi\"", "two\nlines"], ["plain", "\r"]])
    #expect(csv.text == "a,b\n\"x,y\",\n\"say \"\"hi\"\"\",\"two\nlines\"\nplain,\"\r\"\n")
  }

  @Test func numbersReadBack() {
    #expect(CSV.number(0.1) == "0.1")
    #expect(CSV.number(2) == "2")
    #expect(CSV.number(nil) == nil)
    #expect(CSV.number(.infinity) == nil && CSV.number(.nan) == nil)
  }
}
