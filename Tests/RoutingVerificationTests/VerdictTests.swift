import RoutingVerification
import Testing

struct VerdictTests {
  @Test(arguments: [
    ([Verdict](), Verdict.undecided),
    ([.proved], .proved),
    ([.proved, .consistent], .consistent),
    ([.consistent, .undecided, .proved], .undecided),
    ([.proved, .undecided, .refuted], .refuted),
  ])
  func `The gravest of several verdicts is theirs together`(parts: [Verdict], together: Verdict) {
    #expect(Verdict(combining: parts) == together)
  }
}
