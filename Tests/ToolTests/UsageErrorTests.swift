import Testing

struct UsageErrorTests {
  @Test(arguments: [
    (
      ["reprot"],
      [
        "unknown command 'reprot'",
        "expected report, outcomes, order, assess, verify, audit-layer, estimators, routers, vectors, lint, train, compare, translate",
      ]
    ),
    (["--foo"], ["Unknown option '--foo'"]),
    (["report", "--formta", "json"], ["Unknown option '--formta'", "--format"]),
    (["report", "--format", "yaml"], ["'yaml'", "'table', 'json', 'csv', 'markdown' or 'latex'"]),
    (["report", "--format"], ["Missing value for '--format"]),
    (["report", "--mask", "papr"], ["'papr'", "'none', 'paper' or 'reference-code'"]),
    (["report", "--threshold", "0.2"], ["'--threshold' goes with '--mask paper'"]),
    (["report", "--mask", "none", "--threshold", "0.2"], ["'--threshold' does not go with '--mask none'"]),
    (["report", "--mask", "paper", "--threshold", "-0.1"], ["'--threshold'", "at least 0, got -0.1"]),
    (
      ["report", "--mask", "paper", "--threshold", "inf"],
      ["'--threshold'", "finite number of at least 0, got inf"]
    ),
    (["report", "--mask", "paper", "--threshold", "nan"], ["'--threshold'", "got nan"]),
    (["report", "--mask", "paper", "--threshold", "x"], ["'x'", "--threshold"]),
    (["report", "--target", "exact"], ["'exact'", "'expected-loss'"]),
    (["report", "--method", "guess"], ["'guess'", "'auto' and 'monte-carlo'"]),
    (["report", "--samples", "10"], ["'--samples' goes with '--method monte-carlo'"]),
    (["report", "--method", "monte-carlo", "--samples", "1"], ["'--samples'", "from 2 to", "got 1"]),
    (["report", "--method", "monte-carlo", "--samples", "1e5"], ["'1e5'", "--samples"]),
    (["report", "--tolerance", "0"], ["'--tolerance'", "above 0, got 0"]),
    (["report", "--threads", "0"], ["'--threads'", "at least 1, got 0"]),
    (["report", "--seed", "-1"], ["'-1'", "--seed"]),
    (["report", "--seed", "18446744073709551616"], ["'18446744073709551616'", "--seed"]),
    (["report", "--covariance"], ["'--covariance' goes with '--format json'"]),
    (["report", "-", "-"], ["standard input ('-') can be read only once"]),
    (["report", "--estimators", "reinmx"], ["unknown estimator 'reinmx'", "did you mean 'reinmax'?"]),
    (["report", "--estimators", ""], ["unknown estimator ''", "expected one of reinforce,"]),
    (["report", "--estimators", "reinmax:tau=0"], ["'reinmax'", "'tau'", "above 0, got '0'"]),
    (
      ["report", "--estimators", "reinmax:tau=1,t=2"], ["'reinmax'", "unknown parameter 't'", "expected tau"]
    ),
    (["report", "--estimators", "gumbel-softmax-st:tau=-1"], ["'gumbel-softmax-st'", "'tau'", "above 0, got '-1'"]),
    (["report", "--estimators", "gumbel-rao:K=0"], ["'gumbel-rao'", "'K'", "from 1 to 1000000, got '0'"]),
    (["report", "--estimators", "gumbel-rao:tau=1,K=1.5"], ["'gumbel-rao'", "'K'", "got '1.5'"]),
    (["report", "--estimators", "switch:r=1"], ["'switch'", "'r'", "from 0 to below 1, got '1'"]),
    (["report", "--estimators", "switch:kind=logits"], ["'switch'", "'kind'", "got 'logits'"]),
    (["report", "--estimators", "reinmax:tau"], ["'reinmax'", "expected key=value, got 'tau'"]),
    (["report", "--estimators", "reinmax:tau=1,tau=1"], ["'reinmax'", "'tau' is given twice"]),
    (["report", "--estimators", "exact:tau=1"], ["'exact'", "it takes none"]),
    (["report", "--estimators", "a\nb\u{1B}[31m"], [#"unknown estimator 'a\nb\u{1B}[31m'"#]),
    (["outcomes"], ["Missing expected argument '<file>'"]),
    (["outcomes", "x.json"], ["Missing expected argument '--estimator"]),
    (["outcomes", "x.json", "y.json", "--estimator", "exact"], ["y.json"]),
    (["outcomes", "x.json", "--estimator", "nope"], ["unknown estimator 'nope'"]),
    (["order", "--mask", "none", "--threshold", "1"], ["'--threshold' does not go with '--mask none'"]),
    (["estimators", "--format", "csv"], ["'csv'", "'markdown'"]),
  ])
  func isOneLineAndStatus64(arguments: [String], parts: [String]) throws {
    let run = try Tool.run(arguments)
    expectRefusal(run, status: 64)
    for part in parts { #expect(run.error.contains(part), "expected “\(part)” in: \(run.error)") }
  }

  @Test func masksAndTargetsThatNoProblemTakes() throws {
    let file = Samples.shipped("categorical-8.json")
    expectRefusal(
      try Tool.run(["report", file, "--mask", "paper"]), status: 64, "categorical-8-cross-entropy",
      "a categorical problem takes no mask")
    expectRefusal(
      try Tool.run(["order", file, "--mask", "reference-code"]), status: 64,
      "a categorical problem takes no mask")
    expectRefusal(
      try Tool.run(["outcomes", file, "--estimator", "exact", "--mask", "paper"]), status: 64,
      "a categorical problem takes no mask")
    expectRefusal(
      try Tool.run(["report", file, "--target", "routing-term"]), status: 64, "only the target expected-loss",
      "got routing-term")
    #expect(try Tool.run(["report", file, "--mask", "none"]).status == 0)
  }
}
