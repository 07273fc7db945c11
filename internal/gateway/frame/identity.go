package frame

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/transport"
)

// placeholders of a template for device names.
var placeholders = [...]string{"ip", "port", "listener", "cn"}

// checkTemplate says what is wrong with a template for device names. "" is none.
func checkTemplate(t string) error {
	if t == "" {
		return nil
	}
	example, err := fill(t, func(string) (string, error) { return "x", nil })
	if err != nil {
		return err
	}
	if err := frame.CheckLevel([]byte(example)); err != nil {
		return fmt.Errorf("%q cannot name devices: %w", t, err)
	}
	return nil
}

// fill replaces the placeholders of t by what value returns.
func fill(t string, value func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(t, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", fmt.Errorf("%q: no } after ${", t)
		}
		known := false
		for _, p := range placeholders {
			known = known || p == name
		}
		if !known {
			return "", fmt.Errorf("${%s} is none of ${%s}", name, strings.Join(placeholders[:], "}, ${"))
		}
		v, err := value(name)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		t = after
	}
}

// nameOf names the device at the other end of a connection.
func nameOf(template string, info transport.Info, listener string) (string, error) {
	return fill(template, func(name string) (string, error) {
		switch name {
		case "ip":
			return info.Remote.Addr().Unmap().WithZone("").String(), nil
		case "port":
			return fmt.Sprint(info.Remote.Port()), nil
		case "listener":
			return listener, nil
		}
		if info.TLS == nil || len(info.TLS.PeerCertificates) == 0 || info.TLS.PeerCertificates[0].Subject.CommonName == "" {
			return "", errors.New("the device has no certificate that names it")
		}
		return info.TLS.PeerCertificates[0].Subject.CommonName, nil
	})
}
