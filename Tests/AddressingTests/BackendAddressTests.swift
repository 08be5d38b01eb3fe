import Addressing
import Testing

@Suite struct BackendAddressTests {
    /// A path of so many bytes.
    private static func path(_ length: Int) -> String { "/" + String(repeating: "x", count: length - 1) }

    @Test(
        arguments: [
            ("", .endpoint(.empty)), ("1.2.3.4", .endpoint(.missingPort("1.2.3.4"))),
            ("[fe80::1", .endpoint(.unclosedBracket("[fe80::1"))), ("::1:80", .endpoint(.needsBrackets("::1:80"))),
            ("unix", .endpoint(.missingPort("unix"))),
            ("UNIX:/run/x", .endpoint(.invalidPort("UNIX:/run/x", port: "/run/x"))),
            ("unix:", .unix(.empty("unix:"))), ("unix:@", .unix(.empty("unix:@"))),
            ("unix:run/x", .unix(.relative("unix:run/x"))), ("unix:80", .unix(.relative("unix:80"))),
            ("unix:/", .unix(.directory("unix:/"))), ("unix:/run/", .unix(.directory("unix:/run/"))),
            ("unix:/a\0b", .unix(.zero)), ("unix:@a\0b", .unix(.zero)),
            ("unix:\(path(108))", .unix(.tooLong("unix:\(path(108))", length: 108))),
            ("unix:@\(path(108))", .unix(.tooLong("unix:@\(path(108))", length: 108))),
            (
                "unix:/\(String(repeating: "ä", count: 54))",
                .unix(.tooLong("unix:/\(String(repeating: "ä", count: 54))", length: 109))
            ),
            ("ws.example.org", .endpoint(.missingPort("ws.example.org"))),
            ("ws.example.org:", .endpoint(.missingPort("ws.example.org:"))),
            ("ws.example.org:http", .endpoint(.invalidPort("ws.example.org:http", port: "http"))),
            ("ws.example.org:70000", .endpoint(.portOutOfRange("ws.example.org:70000", port: "70000"))),
            ("10.0.0.256:80", .endpoint(.invalidAddress("10.0.0.256:80", host: "10.0.0.256"))),
            ("ws.0256:80", .name("ws.0256:80", host: "ws.0256")), ("-ws:80", .name("-ws:80", host: "-ws")),
            ("ws-:80", .name("ws-:80", host: "ws-")), ("ws..org:80", .name("ws..org:80", host: "ws..org")),
            (".ws:80", .name(".ws:80", host: ".ws")), ("ws..:80", .name("ws..:80", host: "ws..")),
            ("a\(path(64).dropFirst()):80", .name("a\(path(64).dropFirst()):80", host: "a\(path(64).dropFirst())")),
        ] as [(String, BackendAddressError)])
    func saysWhatIsWrong(_ text: String, _ expected: BackendAddressError) {
        #expect(throws: expected) { try BackendAddress(parsing: text) }
        #expect(!expected.description.contains("\0"))
    }

    @Test func messagesNameTheCure() {
        #expect(
            UnixPathError.tooLong("unix:\(BackendAddressTests.path(200))", length: 200).description
                == "\"unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\": the path has 200 bytes, and that of a Unix socket has at "
                + "most 107: choose a shorter one")
        #expect(
            UnixPathError.relative("unix:app.sock").description
                == "\"unix:app.sock\": the path must begin with \"/\", as in unix:/run/app.sock")
        #expect(
            UnixPathError.directory("unix:/run/").description
                == "\"unix:/run/\" names a directory: give the path of the socket in it")
        #expect(
            UnixPathError.empty("unix:").description
                == "\"unix:\" has no path: write unix:/run/app.sock, or unix:@NAME for an abstract name")
        #expect(
            UnixPathError.foreign("/run/x").description
                == "\"/run/x\" does not begin with \"unix:\": write unix:/run/app.sock")
        #expect(UnixPathError.zero.description == "a path cannot have a zero byte in it")
        #expect(
            BackendAddressError.name("-ws:80", host: "-ws").description
                == "\"-ws:80\": \"-ws\" is not an address and cannot be a host's name (labels of 1 to 63 of A-Z a-z 0-9 - _, no "
                + "hyphen at their ends, 253 characters in all)")
        #expect(BackendAddressError.endpoint(.empty).description == EndpointError.empty.description)
        #expect(BackendAddressError.unix(.zero).description == UnixPathError.zero.description)
    }

    @Test(
        arguments: [
            ("192.0.2.1:80", "192.0.2.1:80"), ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
            ("unix:/run/app.sock", "unix:/run/app.sock"), ("unix:/run/a b,c=d.sock", "unix:/run/a b,c=d.sock"),
            ("unix:@app", "unix:@app"), ("unix:@/app/", "unix:@/app/"), ("unix:@@", "unix:@@"),
            ("unix:\(path(107))", "unix:\(path(107))"), ("unix:@\(path(107))", "unix:@\(path(107))"),
            ("localhost:80", "localhost:80"), ("WS-1.Example.ORG:080", "ws-1.example.org:80"),
            ("ws.example.org.:1", "ws.example.org.:1"), ("_ws._tcp.example.net:1", "_ws._tcp.example.net:1"),
            ("3com.com:0", "3com.com:0"), ("unix.:80", "unix.:80"),
        ])
    func reads(_ text: String, _ canonical: String) throws {
        let address = try BackendAddress(parsing: text)
        #expect(address.description == canonical)
        #expect(try BackendAddress(parsing: "x\(canonical)".dropFirst()) == address)
    }

    @Test func tellsKindsApart() throws {
        guard case .unix(let file) = try BackendAddress(parsing: "unix:/run/x"),
            case .unix(let abstract) = try BackendAddress(parsing: "unix:@/run/x"),
            case .name(let host, 80) = try BackendAddress(parsing: "A.b.:80")
        else {
            Issue.record("another kind")
            return
        }
        #expect(!file.isAbstract && abstract.isAbstract && file != abstract && file.name == abstract.name)
        #expect(host.isAbsolute && host.text == "a.b" && host.description == "a.b." && HostName("a.b") != host)
        let endpoint = try Endpoint(parsing: "192.0.2.1:80")
        #expect(try BackendAddress(parsing: "192.0.2.1:80").endpoint == endpoint)
        #expect(try BackendAddress(parsing: "a:80").endpoint == nil)
        #expect(HostName("") == nil && HostName(".") == nil && HostName(String(repeating: "a.", count: 128)) == nil)
        #expect(HostName(String(repeating: "a.", count: 126) + "b") != nil)
    }
}
