/// Values that programs trip over.
enum Hostile {
  /// Numbers that JSON and Float64 have, though the least of them reads as 0.
  static let numbers = [
    "0", "-0", "-0.0", "1", "-1", "0.5", "5e-324", "-5e-324", "1e-400", "2.2250738585072014e-308", "1e-308", "1e-155",
    "1e-17", "0.10000000000000002", "0.1000000000000000055511151231257827", "0.99999999999999989", "1.0000000000000002",
    "3", "64", "710", "-745", "1e3", "1e16", "1e90", "1e154", "1e155", "-1e155", "1e300", "1e308", "-1e308",
    "1.7976931348623157e308", "-1.7976931348623157e308", "4294967295", "4294967296", "9007199254740991",
    "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551615", "1E+2", "2.50",
  ]

  /// What is no number of JSON, or none of Float64.
  static let brokenNumbers = [
    "NaN", "nan", "Infinity", "-Infinity", "inf", "1e309", "1e400", "-1e400", "1e99999999999999999999", "01", "+1",
    "1.",
    ".5", "1e", "0x10", "1_000", "- 1", "--1", "1,5", "",
  ]

  /// Texts for names and words.
  static let texts = [
    "", " ", "a", "none", "paper", "\u{0}", "\u{7F}", "\u{1B}[31m", "é", "e\u{301}", "\u{202E}", "\u{FEFF}", "👩‍👩‍👧‍👦", "\"",
    "\\",
    "\n", "a\r\nb", "%s%n", "../../x", "/dev/null", "-1", "1e308", "9223372036854775808", "true", "null", "a=b,c=d",
    "id:",
    ":", ",", "x:y=", String(repeating: "a", count: 300), String(repeating: "ä", count: 5000),
  ]

  /// Values of options, besides the numbers and texts; bytes, because they need not be UTF-8.
  static let arguments: [[UInt8]] =
    ([
      "nan", "-nan", "inf", "-inf", "infinity", "1e400", "1e-400", "0x1p3", "0x10", " 1", "1 ", "１", "1.0", "1e3", "-0",
      "-1", "00", "+1", "1e999999999999999999", "--", "-", "--help", "-h", "=", "/dev/full", ".", "missing/file",
      "/dev/null",
      "1,2", "2,1", "0,0", "nan,1", "-inf,inf", "1,2,3", ",", "none,none",
    ].map { Array($0.utf8) }) + [
      [0xFF], [0xC3, 0x28], [0x66, 0xED, 0xA0, 0x80], [UInt8](repeating: 0x39, count: 400),
      [UInt8](repeating: 0x61, count: 5000), [UInt8](repeating: 0x2D, count: 100_000),
    ]

  /// A number for what is asked for with a size: small enough to be done, or so large that it has to be refused.
  static let sizes = [
    "0", "-1", "1", "2", "3", "7", "1025", "65537", "1048577", "2147483648", "4294967296", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "18446744073709551616",
  ]

  /// A number for what is asked for with a count, such as steps: what is accepted of it takes no time.
  static let counts = ["0", "-1", "1", "2", "3", "9223372036854775808", "-9223372036854775809", "18446744073709551616"]

  /// Numbers as a program would hold them.
  static let doubles: [Double] = [
    0, -0.0, 0x1p-1074, -0x1p-1074, 0x1p-1022, 1e-300, 1e-155, 1e-17, 0.1, 1, -1, 710, -745, 1e16, 1e77, 1e100, 1e154,
    1e155, -1e155,
    1e200, 1e300, -1e300, 1e308, -1e308, 1.7976931348623157e308, -1.7976931348623157e308,
  ]
}
