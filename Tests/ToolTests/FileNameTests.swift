import Foundation
import Testing

/// Names are bytes, whatever they look like as text.
struct FileNameTests {
  /// The names in a folder as `ls` writes them in C's locale, where every byte beyond ASCII is `\ooo`.
  private static func names(in folder: URL) throws -> [String] {
    try Tool.run([], in: folder, environment: ["LC_ALL": "C"], under: "exec ls -A -b").lines.map(String.init).sorted()
  }

  @Test func namesThatAreNotUTF8AreReadAndWritten() throws {
    try Folder.temporary { folder in
      try Data(Samples.mixture.utf8).write(to: folder.appending(path: "in.json"))
      // A byte that is never UTF-8; half a character; a character of the area that other bytes are kept in.
      for name in [#"a\377"#, #"\303("#, #"\363\260\203\277"#, #"\364\217\277"#] {
        let run = try Tool.run(
          [], in: folder,
          under: """
            n="$(printf '\(name)')"; cp in.json "i$n"; mkdir "d$n"
            "$1" report "i$n" --format csv --output "o$n" && "$1" report in.json --format csv --output "d$n/o" &&
            exec "$1" report "i$n" --format csv
            """)
        #expect(run.status == 0, "\(run.error)")
        #expect(run.output.contains("sample"))
        let found = try Self.names(in: folder)
        for letter in ["i", "o", "d"] { #expect(found.contains(letter + name), "\(found)") }
        #expect(try Self.names(in: folder).allSatisfy { !$0.hasPrefix(".") })
      }
    }
  }

  @Test func messagesEscapeThem() throws {
    try Folder.temporary { folder in
      let run = try Tool.run([], in: folder, under: #"exec "$1" report "$(printf 'no\377 such')""#)
      #expect(run.status == 66)
      #expect(run.error == "routegrad: no\\xFF such: cannot be read: No such file or directory\n")
    }
  }

  @Test func runsRememberThem() throws {
    try Folder.temporary { folder in
      let train =
        "train language-model --width 8 --heads 2 --layers 2 --hidden 8 --context 8 --batch 2 --steps 3 --output run --text"
      let run = try Tool.run(
        [], in: folder,
        under: """
          n="$(printf 't\\377')"; yes 'the quick brown fox' | head -n 40 > "$n"
          "$1" \(train) "$n" && exec "$1" train resume run
          """)
      #expect(run.status == 0 && run.lines.count == 2 && run.lines.first == run.lines.last, "\(run.error)")
    }
  }

  @Test func routersGetThemAsTheyAre() throws {
    try Folder.temporary { folder in
      let run = try Tool.run(
        [], in: folder, under: #"exec "$1" lint -- sh -c 'printf %s "$0" > got' "$(printf 'a\377b')""#)
      #expect(run.status == 65)
      #expect(try Data(contentsOf: folder.appending(path: "got")) == Data([0x61, 0xFF, 0x62]))
    }
  }
}
