import RouteGrad

/// One run of the program: what it is called with and the files that it finds, in a folder of its own.
struct FuzzCase: Sendable, Equatable {
  /// A file in the case's folder; its name may have folders in it, and need not be UTF-8.
  struct File: Sendable, Equatable {
    var name: [UInt8]
    var bytes: [UInt8]

    init(_ name: String, _ bytes: [UInt8]) {
      self.name = Array(name.utf8)
      self.bytes = bytes
    }
  }

  /// What the program's result is.
  enum Result: Sendable { case json, jsonLines, text }

  var format: FuzzFormat
  /// What follows the program's name.
  var arguments: [[UInt8]] = []
  var files: [File] = []
  /// Standard input.
  var input: [UInt8] = []
  var result = Result.text

  init(_ format: FuzzFormat) { self.format = format }

  /// Adds arguments.
  static func += (fuzzCase: inout FuzzCase, arguments: [String]) {
    fuzzCase.arguments += arguments.map { Array($0.utf8) }
  }
}

/// How far a case departs from what is right.
enum Damage: String, Sendable {
  /// Not at all: numbers may be extreme, shapes are right.
  case none
  /// A few values of another kind or number.
  case bent
  /// Bytes that are not what they were.
  case broken
}

/// The kinds of input.
enum FuzzFormat: String, CaseIterable, Sendable {
  case problem
  case problems
  case tabulated
  case layer
  case npy
  case npz
  case csv
  case gradientLines = "gradient-lines"
  case outcomeLines = "outcome-lines"
  case router
  case specification
  case vectors
  case answers
  case run
  case comparison
  case rates
  case text
  case parallelText = "parallel-text"
  case translate
  case options

  /// How often it comes; what costs more comes less often.
  var weight: Int {
    switch self {
    case .problem: 30
    case .problems, .tabulated, .layer: 8
    case .npy, .npz, .csv, .gradientLines, .outcomeLines: 6
    case .router, .specification, .vectors, .answers: 4
    case .run: 12
    case .comparison, .translate: 5
    case .rates: 1
    case .text, .parallelText: 4
    case .options: 16
    }
  }
}

/// Makes cases: the same for the same seed and number, whatever else is made.
struct FuzzCases: Sendable {
  var seed: UInt64
  /// Formats to draw from.
  var formats = FuzzFormat.allCases
  /// Folders of runs, to be damaged.
  var runs: RunSamples
  /// The command that answers as a router, to which seed and number are added.
  var router: [String]

  /// Case `number`, from 0.
  subscript(number: Int) -> FuzzCase {
    var dice = Dice(seed: seed, stream: UInt64(number))
    let format = dice.weighted(formats.map { ($0.weight, $0) })
    let damage = dice.weighted([(58, Damage.none), (30, .bent), (12, .broken)])
    let command = router + ["--seed", "\(seed)", "--case", "\(number)"]
    return switch format {
    case .problem, .problems, .tabulated: ProblemCases.make(format, damage, &dice)
    case .layer: LayerCases.make(damage, &dice)
    case .npy, .npz, .csv, .gradientLines, .outcomeLines: SampleCases.make(format, damage, &dice)
    case .router: RouterCases.make(damage, command, &dice)
    case .specification, .vectors, .answers: SpecificationCases.make(format, damage, command, &dice)
    case .run, .comparison, .translate, .rates: RunCases.make(format, damage, runs, &dice)
    case .text, .parallelText: TextCases.make(format, damage, &dice)
    case .options: OptionCases.make(damage, runs, &dice)
    }
  }
}
