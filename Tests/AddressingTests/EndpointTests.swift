import Addressing
import Testing

@Suite struct EndpointTests {
    @Test(
        arguments: [
            ("", .empty),
            ("80", .missingAddress("80")), (":80", .missingAddress(":80")), ("*:80", .missingAddress("*:80")),
            ("1.2.3.4", .missingPort("1.2.3.4")), ("1.2.3.4:", .missingPort("1.2.3.4:")),
            ("[::1]", .missingPort("[::1]")),
            ("[::1]:", .missingPort("[::1]:")), ("example.org", .missingPort("example.org")),
            ("1.2.3.4:http", .invalidPort("1.2.3.4:http", port: "http")),
            ("1.2.3.4:-1", .invalidPort("1.2.3.4:-1", port: "-1")),
            ("1.2.3.4:+80", .invalidPort("1.2.3.4:+80", port: "+80")),
            ("1.2.3.4:80 ", .invalidPort("1.2.3.4:80 ", port: "80 ")),
            ("1.2.3.4:٨٠", .invalidPort("1.2.3.4:٨٠", port: "٨٠")), ("[::1]80", .invalidPort("[::1]80", port: "80")),
            ("[::1]x:80", .invalidPort("[::1]x:80", port: "x:80")),
            ("1.2.3.4:65536", .portOutOfRange("1.2.3.4:65536", port: "65536")),
            ("[::1]:99999999999999999999", .portOutOfRange("[::1]:99999999999999999999", port: "99999999999999999999")),
            ("::1", .needsBrackets("::1")), ("::1:80", .needsBrackets("::1:80")), ("::", .needsBrackets("::")),
            ("2001:db8::1:8080", .needsBrackets("2001:db8::1:8080")),
            ("1:2:3:4:5:6:7:8", .needsBrackets("1:2:3:4:5:6:7:8")),
            ("1:2:3:4:5:6:7:8:80", .needsBrackets("1:2:3:4:5:6:7:8:80")),
            ("[::1", .unclosedBracket("[::1")), ("[::1:80", .unclosedBracket("[::1:80")),
            ("[1.2.3.4]:80", .notIPv6("[1.2.3.4]:80", host: "1.2.3.4")), ("[]:80", .notIPv6("[]:80", host: "")),
            ("[[::1]]:80", .notIPv6("[[::1]]:80", host: "[::1")), ("[name]:80", .notIPv6("[name]:80", host: "name")),
            ("[2001:db8::1%eth0]:80", .zone("[2001:db8::1%eth0]:80")),
            ("[::%eth0]:80", .zone("[::%eth0]:80")), ("[1.2.3.4%a]:80", .notIPv6("[1.2.3.4%a]:80", host: "1.2.3.4")),
            ("[fe80::1%]:80", .invalidZone("[fe80::1%]:80", zone: "")),
            ("[fe80::1%a b]:80", .invalidZone("[fe80::1%a b]:80", zone: "a b")),
            ("[fe80::1%..]:80", .invalidZone("[fe80::1%..]:80", zone: "..")),
            ("[fe80::1%sixteen-bytes-xy]:80", .invalidZone("[fe80::1%sixteen-bytes-xy]:80", zone: "sixteen-bytes-xy")),
            ("[fe80::1%eth0]", .missingPort("[fe80::1%eth0]")), ("fe80::1%eth0:80", .needsBrackets("fe80::1%eth0:80")),
            ("localhost:80", .name("localhost:80", host: "localhost")),
            ("ws-1.example.org:80", .name("ws-1.example.org:80", host: "ws-1.example.org")),
            ("10.0.0.256:80", .invalidAddress("10.0.0.256:80", host: "10.0.0.256")),
            ("10.0.0:80", .invalidAddress("10.0.0:80", host: "10.0.0")),
            (" 1.2.3.4:80", .invalidAddress(" 1.2.3.4:80", host: " 1.2.3.4")),
            ("http://1.2.3.4:80", .invalidAddress("http://1.2.3.4:80", host: "http://1.2.3.4")),
            ("tcp:1.2.3.4:80", .invalidAddress("tcp:1.2.3.4:80", host: "tcp:1.2.3.4")),
        ] as [(String, EndpointError)])
    func saysWhatIsWrong(_ text: String, _ expected: EndpointError) {
        #expect(throws: expected) { try Endpoint(parsing: text) }
        #expect(text.isEmpty || expected.description.contains("\"\(text)\""))
    }

    @Test func messagesNameTheCure() {
        #expect(
            EndpointError.needsBrackets("::1:80").description
                == "\"::1:80\": an IPv6 address needs brackets before a port, such as [2001:db8::1]:80")
        #expect(
            EndpointError.name("localhost:80", host: "localhost").description
                == "\"localhost:80\": \"localhost\" is not an address, and a name will not do here: give an address")
        #expect(
            EndpointError.portOutOfRange("[::1]:70000", port: "70000").description
                == "\"[::1]:70000\": port 70000 is out of range (0 to 65535)")
    }

    @Test(
        arguments: [
            ("1.2.3.4:80", "1.2.3.4", 80, "1.2.3.4:80"), ("0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"),
            ("[::1]:65535", "::1", 65535, "[::1]:65535"), ("[::]:0080", "::", 80, "[::]:80"),
            ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"),
            ("[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", 80, "[::ffff:1.2.3.4]:80"),
        ] as [(String, String, UInt16, String)])
    func reads(_ text: String, _ address: String, _ port: UInt16, _ canonical: String) throws {
        let endpoint = try Endpoint(parsing: text)
        #expect(endpoint == Endpoint(address: try #require(IPAddress(address)), port: port))
        #expect(endpoint.description == canonical)
        #expect(try Endpoint(parsing: "x\(canonical)".dropFirst()) == endpoint)
    }

    @Test(arguments: ["lo", "2", "eth0.100", "fifteen-bytes-x", "br-0123456789ab", "007"])
    func zonesReadBack(_ text: String) throws {
        let zone = try #require(Zone(text))
        #expect(zone.description == text && Zone(zone.description) == zone && !zone.isNone)
        #expect(zone.index == (text == "2" ? 2 : nil))
    }

    @Test func aZoneIsPartOfAnEndpointAndNotOfItsAddress() throws {
        let one = try Endpoint(parsing: "[fe80::1%eth0]:80")
        let other = try Endpoint(parsing: "[fe80::1%eth1]:80")
        #expect(one != other && one.address == other.address)
        #expect(Zone(index: 0) == Zone.none && Zone("0") != Zone.none && Zone.none.description == "")
        #expect(throws: EndpointError.needsZone("[fe80::1]:80")) {
            try Endpoint(parsing: "[fe80::1]:80").complete()
        }
        #expect(one.description == "[fe80::1%eth0]:80")
        #expect(try Endpoint(parsing: "[FE80::1%7]:1") == Endpoint(address: one.address, port: 1, zone: Zone(index: 7)))
        #expect(try one.complete() == one)
        #expect(try Endpoint(parsing: "169.254.0.1:80").complete().zone.isNone)
    }
}
