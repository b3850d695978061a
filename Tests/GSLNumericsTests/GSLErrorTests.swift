import Testing

@testable import GSLNumerics

@Suite struct GSLErrorTests {
  @Test func version() {
    #expect(gslVersion.split(separator: ".").count >= 2)
    #expect(gslVersion.first?.isNumber == true)
  }

  @Test func statusBecomesAnError() throws {
    try GSLRuntime.check(0, "nothing")
    do {
      try GSLRuntime.check(4, "a test")
      Issue.record("a status other than success throws")
    } catch {
      #expect(
        error.code == 4 && error.operation == "a test" && error.reason == "invalid argument supplied by user")
      #expect(error.description == "GSL: a test: invalid argument supplied by user (status 4)")
    }
  }
}
