import FileFormats
import RoutingCore
import RoutingVerification

/// Gradients, and perhaps choices and coins, as arrays `[samples, …]` of NumPy: an `.npy` file, or the members of an `.npz`.
///
/// Members of a file are read side by side, each through an opening of its own. What passes by once can be read from its
/// first member only, which must be `gradient` or `arr_0` (what `numpy.savez` calls an array without a name).
final class ArrayReader: SampleReader {
  let drawsGiven: SampleVerifier.DrawsGiven
  let areOutcomes = false
  private let gradient: NpyArray
  private let choice: NpyArray?
  private let coins: NpyArray?

  init(gradient: NpyArray, choice: NpyArray? = nil, coins: NpyArray? = nil, coordinates: Int) throws(Refusal) {
    self.gradient = gradient
    self.choice = choice
    self.coins = coins
    drawsGiven = choice == nil ? .none : coins == nil ? .choices : .choicesAndCoins
    func wrong(_ array: NpyArray, _ expectation: String) -> Refusal {
      Refusal(.wrongData, "\(array.place): \(expectation)")
    }
    guard gradient.element.kind == "f" else {
      throw wrong(gradient, "expected floating-point numbers, got whole ones")
    }
    guard gradient.width == coordinates else {
      throw wrong(gradient, "expected rows of \(coordinates) numbers, one for each expert, got \(gradient.width)")
    }
    for array in [choice, coins].compactMap(\.self) {
      guard array.element.kind != "f" else { throw wrong(array, "expected whole numbers, got floating-point ones") }
      guard array.rows == gradient.rows else {
        throw wrong(array, "expected \(gradient.rows) rows, as many as gradients, got \(array.rows)")
      }
    }
  }

  /// Finds the members of an archive.
  convenience init(
    zip bytes: ByteStream, coordinates: Int, reopen: (() throws(Refusal) -> any ByteSource)?
  ) throws(Refusal) {
    let name = bytes.name
    let members = ZipMembers(bytes)
    guard let reopen else {
      guard let first = try members.next() else { throw Self.empty(name) }
      guard ["gradient", "arr_0"].contains(first.name) else {
        throw Refusal(
          .wrongData,
          "\(name): expected 'gradient' as the first member of an archive that is piped, got "
            + "'\(first.name.clipped(to: 40))'; give a file, or write the gradient first")
      }
      try self.init(
        gradient: Self.array(first, of: members, name: name), coordinates: coordinates)
      return
    }
    var names: [String] = []
    while let header = try members.next() {
      names.append(header.name)
      try members.skip(header)
    }
    guard !names.isEmpty else { throw Self.empty(name) }
    guard names.contains("gradient") || names.count == 1 else {
      let shown = names.prefix(8).joined(separator: ", ").clipped(to: 80)
      throw Refusal(.wrongData, "\(name): expected a member 'gradient' or a single one, got \(shown)")
    }
    func open(_ member: String) throws(Refusal) -> NpyArray? {
      guard names.contains(member) else { return nil }
      let members = ZipMembers(ByteStream(try reopen(), name: name))
      while let header = try members.next() {
        if header.name == member { return try Self.array(header, of: members, name: name) }
        try members.skip(header)
      }
      return nil
    }
    guard let gradient = try open(names.contains("gradient") ? "gradient" : names[0]) else { throw Self.empty(name) }
    let choice = try open("choice")
    let coins = try open("coins")
    if coins != nil, choice == nil {
      throw Refusal(.wrongData, "\(name): expected a member 'choice' beside 'coins', it is missing")
    }
    try self.init(gradient: gradient, choice: choice, coins: coins, coordinates: coordinates)
  }

  private static func array(
    _ header: ZipMembers.Header, of members: ZipMembers, name: String
  ) throws(Refusal) -> NpyArray {
    try NpyArray(ByteStream(members.content(of: header), name: name), member: header.name.clipped(to: 40))
  }

  private static func empty(_ name: String) -> Refusal {
    Refusal(.wrongData, "\(name): expected arrays, got an empty archive")
  }

  func next(_ batch: inout SampleBatch) throws(Refusal) -> Bool {
    let most = max(min(SampleBatch.mostRows, SampleBatch.mostNumbers / max(gradient.width, 1)), 1)
    let count = try gradient.readyRows(atMost: most)
    guard count > 0 else {
      // So that their ends, and checksums, are looked at too.
      _ = try choice?.readyRows(atMost: 1)
      _ = try coins?.readyRows(atMost: 1)
      return false
    }
    try gradient.read(count, into: &batch.gradients)
    guard let choice else { return true }
    var choices: [[Int]] = []
    var coinRows: [[Int]] = []
    try choice.read(count, into: &choices)
    try coins?.read(count, into: &coinRows)
    for k in 0..<count {
      batch.draws.append(ForeignDraw(choice: choices[k], coins: coins == nil ? nil : coinRows[k]))
    }
    return true
  }
}
