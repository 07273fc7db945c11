package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/transport"
)

// tlsSettings say whom to trust, and who we are.
type tlsSettings struct {
	tls        bool
	noTLS      bool
	osCerts    bool
	caFile     string
	caPath     string
	cert       string
	key        string
	keyForm    string
	engine     string
	engineSHA1 string
	ciphers    string
	tlsVersion string
	alpn       string
	insecure   bool
	keyLog     string
	psk        string
	pskID      string
	serverName string
}

func tlsOptions() []option {
	g := groupTLS
	str := func(field func(*settings) *string) func(*settings, string) error {
		return func(s *settings, v string) error { *field(s) = v; return nil }
	}
	return []option{
		{
			long: "tls", progs: progAll, names: ownName, group: g, help: "use TLS, trusting the authorities of the operating system",
			set: turnOn(func(s *settings) *bool { return &s.tls }),
		},
		{
			long: "cafile", progs: progAll, arg: "file", group: g, help: "use TLS, trusting the authorities in this PEM file",
			lack: "--cafile argument given but no file specified.\n", set: str(func(s *settings) *string { return &s.caFile }),
		},
		{
			long: "capath", progs: progAll, arg: "directory", group: g, help: "use TLS, trusting the authorities in the PEM files there",
			lack: "--capath argument given but no directory specified.\n", set: str(func(s *settings) *string { return &s.caPath }),
		},
		{
			long: "tls-use-os-certs", progs: progAll, group: g, help: "use TLS, trusting the authorities of the operating system",
			set: turnOn(func(s *settings) *bool { return &s.osCerts }),
		},
		{
			long: "no-tls", progs: progAll, group: g, help: "use no TLS whatever other options and the port say",
			set: turnOn(func(s *settings) *bool { return &s.noTLS }),
		},
		{
			long: "cert", progs: progAll, arg: "file", group: g, help: "client certificate in PEM form, then its chain",
			lack: "--cert argument given but no file specified.\n", set: str(func(s *settings) *string { return &s.cert }),
		},
		{
			long: "key", progs: progAll, arg: "file", group: g, help: "private key of the client certificate",
			lack: "--key argument given but no file specified.\n", set: str(func(s *settings) *string { return &s.key }),
		},
		{
			long: "keyform", progs: progAll, arg: "pem", group: g, help: "form of the key: pem",
			lack: "--keyform argument given but no keyform specified.\n", set: str(func(s *settings) *string { return &s.keyForm }),
		},
		{
			long: "ciphers", progs: progAll, arg: "list", group: g, help: "cipher suites of TLS 1.2, by OpenSSL's or IANA's names, with colons between",
			lack: "--ciphers argument given but no ciphers specified.\n", set: str(func(s *settings) *string { return &s.ciphers }),
		},
		{
			long: "tls-version", progs: progAll, arg: "version", group: g, help: "tlsv1.2 or tlsv1.3, and nothing older or newer (default both)",
			lack: "--tls-version argument given but no version specified.\n", set: str(func(s *settings) *string { return &s.tlsVersion }),
		},
		{
			long: "tls-alpn", progs: progAll, arg: "protocol", group: g, help: "application protocol to offer, as in mqtt",
			lack: "--tls-alpn argument given but no protocol specified.\n", set: str(func(s *settings) *string { return &s.alpn }),
		},
		{
			long: "tls-server-name", progs: progAll, names: ownName, arg: "name", group: g, help: "the name that the certificate has to be for (default the host)",
			set: str(func(s *settings) *string { return &s.serverName }),
		},
		{
			long: "insecure", progs: progAll, group: g, help: "accept any certificate: whoever is in between can read and change everything",
			set: turnOn(func(s *settings) *bool { return &s.insecure }),
		},
		{
			long: "tls-keylog", progs: progAll, arg: "file", group: g, help: "append the session keys to this file, for Wireshark",
			lack: "--tls-keylog argument given but no file specified.\n", set: str(func(s *settings) *string { return &s.keyLog }),
		},
		{
			long: "tls-engine", progs: progAll, arg: "engine", group: g, help: "not supported; see --cert and --key",
			lack: "--tls-engine argument given but no engine_id specified.\n", set: str(func(s *settings) *string { return &s.engine }),
		},
		{
			long: "tls-engine-kpass-sha1", progs: progAll, arg: "hash", group: g, help: "not supported; see --cert and --key",
			lack: "--tls-engine-kpass-sha1 argument given but no kpass sha1 specified.\n", set: str(func(s *settings) *string { return &s.engineSHA1 }),
		},
		{
			long: "psk", progs: progAll, names: ownName, arg: "hex", group: g, secret: true,
			help: "pre-shared key, of mqttsns:// alone; everybody on this machine can read it, so prefer --psk-file or IOTCTL_PSK",
			set:  str(func(s *settings) *string { return &s.psk }),
		},
		{
			long: "psk-identity", progs: progAll, names: ownName, arg: "identity", group: g, help: "whose pre-shared key it is",
			set: str(func(s *settings) *string { return &s.pskID }),
		},
		{
			long: "psk", progs: progAll, names: peerName, arg: "hex", help: "not supported; see --cert and --key, or -u", secret: true,
			lack: "--psk argument given but no key specified.\n", set: str(func(s *settings) *string { return &s.psk }),
		},
		{
			long: "psk-identity", progs: progAll, names: peerName, arg: "identity", help: "not supported; see --cert and --key, or -u",
			lack: "--psk-identity argument given but no identity specified.\n", set: str(func(s *settings) *string { return &s.pskID }),
		},
	}
}

// checkTLS follows mosquitto's order; then it refuses what Go's TLS cannot do.
func (s *settings) checkTLS() error {
	if s.noTLS {
		s.tlsSettings = tlsSettings{noTLS: true}
		return nil
	}
	switch {
	case (s.cert == "") != (s.key == "") && (s.peer || s.cert == ""):
		return complain("Both certfile and keyfile must be provided if one of them is set.")
	case s.keyForm != "" && s.key == "":
		return complain("If keyform is set, keyfile must be also specified.")
	case s.engineSHA1 != "" && (s.keyForm == "" || s.engine == ""):
		return complain("when using tls-engine-kpass-sha1, both tls-engine and keyform must also be provided.")
	case s.speaksSN() && s.usesTLS() && (s.psk != "" || s.pskID != "" || s.sn.pskFile != ""): // see loadPSK
	case (s.caFile != "" || s.caPath != "") && s.psk != "":
		return complain("Only one of --psk or --cafile/--capath may be used at once.")
	case s.psk != "" && s.pskID == "":
		return complain("--psk-identity required if --psk used.")
	case s.speaksSN() && (s.psk != "" || s.pskID != "" || s.sn.pskFile != ""):
		return fail(exitUsage, errors.New("a pre-shared key is for mqttsns://: mqttsn:// is not encrypted"), "mqttsns://HOST")
	case s.psk != "" || s.pskID != "":
		return fail(exitUsage, errors.New("TLS with a pre-shared key is not supported"),
			"authenticate with a client certificate (--cert, --key) or with user name and password")
	case s.engine != "" || s.engineSHA1 != "":
		return fail(exitUsage, errors.New("TLS engines are not supported"), "give the key as a PEM file with --key")
	case s.keyForm != "" && s.keyForm != "pem":
		return fail(exitUsage, fmt.Errorf("key form %q is not supported", s.keyForm), "give the key as a PEM file: --keyform pem")
	}
	return nil
}

// usesTLS tells whether the connection is encrypted.
func (s *settings) usesTLS() bool {
	switch {
	case s.noTLS:
		return false
	case s.tls, s.caFile != "", s.caPath != "", s.osCerts, s.port == 8883 && s.device == nil:
		return true
	}
	return s.scheme == "mqtts" || s.scheme == "wss" || s.device != nil && s.scheme == s.device.schemes[1].Name
}

// clientTLS is what transport needs to know.
func (s *settings) clientTLS() (*transport.ClientTLS, error) {
	t := &transport.ClientTLS{
		CAFile: s.caFile, CAPath: s.caPath, CertFile: s.cert, KeyFile: s.key,
		ServerName: s.serverName, KeyLogFile: s.keyLog,
		SkipVerify: s.insecure && !s.peer20, SkipNameCheck: s.insecure,
		PSK: s.psk, PSKIdentity: s.pskID,
	}
	if s.alpn != "" {
		t.ALPN = []string{s.alpn}
	}
	switch s.tlsVersion {
	case "":
	case "tlsv1.2":
		t.MinVersion, t.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "tlsv1.3":
		t.MinVersion, t.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	default:
		return nil, usagef("--tls-version %q: must be tlsv1.2 or tlsv1.3", s.tlsVersion)
	}
	if s.cert != "" && s.key == "" && s.usesTLS() {
		if _, err := tls.LoadX509KeyPair(s.cert, s.cert); err != nil {
			return nil, fail(exitUsage, fmt.Errorf("--cert %q: %w", s.cert, err), "--key FILE names the private key, unless it stands in the certificate's file")
		}
	}
	var err error
	if s.usesTLS() && !s.peer {
		if err := t.Check(); err != nil {
			return nil, fail(exitUsage, err)
		}
	}
	t.Ciphers, err = cipherSuites(s.ciphers)
	return t, err
}

// cipherSuites looks up names with colons between. Those of TLS 1.3 are always
// on and need no mention.
func cipherSuites(list string) ([]uint16, error) {
	var ids []uint16
	if list == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(list, ":") {
		found := false
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if suite.SupportedVersions[0] > tls.VersionTLS12 {
				continue
			}
			if strings.EqualFold(name, suite.Name) || strings.EqualFold(name, opensslName(suite.Name)) {
				ids, found = append(ids, suite.ID), true
			}
		}
		if !found {
			return nil, fail(exitUsage, fmt.Errorf("--ciphers: no cipher suite is called %q", name),
				"as in ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305")
		}
	}
	return ids, nil
}

// opensslName turns TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 into
// ECDHE-RSA-AES128-GCM-SHA256.
func opensslName(iana string) string {
	s := strings.NewReplacer("TLS_RSA_WITH_", "", "TLS_", "", "_WITH_", "-", "AES_128_CBC", "AES128", "AES_256_CBC", "AES256",
		"AES_128", "AES128", "AES_256", "AES256", "POLY1305_SHA256", "POLY1305", "3DES_EDE_CBC", "DES-CBC3", "_", "-").Replace(iana)
	return s
}
