package exproto

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/transport"
)

// Protocol is the gateway's name in schemes and in the configuration file.
const Protocol = "exproto"

// Schemes are those of devices' listeners.
func Schemes() []transport.Scheme {
	return []transport.Scheme{
		{Name: "exproto", Protocol: Protocol, Network: "tcp", Port: 7993},
		{Name: "exprotos", Protocol: Protocol, Network: "tcp", Port: 7994, TLS: true},
		{Name: "exproto+udp", Protocol: Protocol, Network: "udp", Port: 7993},
		{Name: "exproto+dtls", Protocol: Protocol, Network: "udp", Port: 7994, TLS: true},
	}
}

// rpcSchemes are those of gRPC addresses.
var rpcSchemes = []transport.Scheme{
	{Name: "http", Protocol: "grpc", Network: "tcp", Port: 80},
	{Name: "https", Protocol: "grpc", Network: "tcp", Port: 443, TLS: true},
}

// parseAddress reads the address of a handler or of the adapter. host:port, as
// EMQX's server.bind has it, is http.
func parseAddress(s string) (transport.Endpoint, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	e, err := transport.Parse(s, rpcSchemes)
	if err == nil && (strings.Trim(e.Path, "/") != "" || e.RawQuery != "") {
		err = fmt.Errorf("%s has more than a host and a port", e)
	}
	return e, err
}

// isLocal reports whether only this machine is meant.
func isLocal(e transport.Endpoint) bool {
	ip := net.ParseIP(e.Host)
	return strings.EqualFold(e.Host, "localhost") || ip != nil && ip.IsLoopback()
}

// File is the name of a file, in a configuration file relative to that.
type File string

// ReadFile takes the name of a file that is there.
func (f *File) ReadFile(name string, _ []byte) error {
	*f = File(name)
	return nil
}

// readToken returns the token in a file; "" without one.
func readToken(file File) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(string(file))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	switch {
	case token == "":
		return "", fmt.Errorf("%s is empty", file)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("a token is one line of printable ASCII without spaces")
	}
	return token, nil
}
