import CStandardLibrary
import Foundation
import Testing
import _TestSupport

/// The C program of the guide, compiled against the library that was built beside these tests.
struct ExampleTests {
  @Test func compilesAndRuns() throws {
    let built = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let library = built.appending(path: "libCRouteGrad.so").path
    try #require(FileManager.default.fileExists(atPath: library), "\(library) was not built")
    let root = Fixtures.root.deletingLastPathComponent()
    let program = FileManager.default.temporaryDirectory.appending(path: "routegrad-oracle-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: program) }
    let compiled = try run(
      """
      cc -std=c11 -Wall -Wextra -Werror '\(root.path)/docs/examples/oracle.c' -I '\(root.path)/Sources/CRouteGrad/include' \
        -L '\(built.path)' -Wl,-rpath,'\(built.path)' -lCRouteGrad -lm -o '\(program.path)'
      """)
    try #require(compiled.status == 0, "\(compiled.output)")
    let ran = try run("'\(program.path)'")
    #expect(ran.status == 0)
    let guide = try String(contentsOf: root.appending(path: "docs/guides/c.md"), encoding: .utf8)
    #expect(guide.contains(ran.output), "docs/guides/c.md shows another output than\n\(ran.output)")
  }

  /// Runs a shell command; by `popen` and not by Foundation's Process, see ToolTests.
  private func run(_ command: String) throws -> (status: Int32, output: String) {
    let stream = try #require(popen("\(command) 2>&1", "r"))
    var output = Data()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, stream)
      if count == 0 { break }
      output.append(contentsOf: buffer[..<count])
    }
    return (pclose(stream), String(decoding: output, as: UTF8.self))
  }
}
