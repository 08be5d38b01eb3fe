import Stickiness
import Testing

@Suite struct HashKeyTests {
    static let digits = "fa79eb91963ced8d08ad2833f442e6f0"

    @Test(arguments: [
        "", " ", "0", "000102030405060708090a0b0c0d0e0", "000102030405060708090a0b0c0d0e0f0",
        "000102030405060708090a0b0c0d0e0g", "0x0102030405060708090a0b0c0d0e0f", "00010203 0405060708090a0b0c0d0e0f",
        "000102030405060708090a0b0c0d0e0f x", "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "000102030405060708090a0b0c0d0e\u{661}", "\u{feff}000102030405060708090a0b0c0d0e0f",
    ])
    func rejectsWhatIsNot32Digits(_ text: String) {
        #expect(HashKey(hexadecimal: text) == nil)
    }

    @Test func passesOverSpaceAroundAndCase() throws {
        let key = try #require(HashKey(hexadecimal: HashKeyTests.digits))
        #expect(HashKey(hexadecimal: " \t\(HashKeyTests.digits.uppercased())\r\n\n") == key)
        #expect(HashKey(hexadecimal: "[\(HashKeyTests.digits)]".dropFirst().dropLast()) == key)
    }

    @Test func knowsThePublishedKey() {
        #expect(HashKey(hexadecimal: "000102030405060708090a0b0c0d0e0f") == .published)
        #expect(HashKey(hexadecimal: "000102030405060708090A0B0C0D0E0F")?.isPublished == true)
        #expect(HashKey(hexadecimal: HashKeyTests.digits)?.isPublished == false)
        #expect(HashKey(hexadecimal: "0f0e0d0c0b0a09080706050403020100")?.isPublished == false)
    }

    @Test func nothingThatPrintsItRevealsIt() throws {
        let key = try #require(HashKey(hexadecimal: HashKeyTests.digits))
        var texts = ["\(key)", String(reflecting: key), "\([key])", String(reflecting: [key])]
        texts.append("")
        dump([key], to: &texts[4])
        for text in texts {
            #expect(text.contains("secret"))
            // Neither as hexadecimal nor as the numbers that it is kept in, of either byte order.
            for part in ["fa79", "f442", "102268", "180487", "173586", "625200"] {
                #expect(!text.contains(part), "\(text)")
            }
        }
        #expect("\(HashKey.published)" == "published")
    }
}
