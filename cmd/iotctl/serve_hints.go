package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// loginHints say how clients could log in, where none would have to, or could.
func (o *serveOptions) loginHints(err error) []string {
	// Of listeners whose clients have a name and a password, and of the others.
	var exposed, nobody, mute, muteExposed bool
	list := serve.Problems{}
	all := []error{err}
	if errors.As(err, &list) {
		all = list.Unwrap()
	}
	for _, e := range all {
		var open *serve.ExposedError
		var shut *serve.NobodyError
		switch {
		case errors.As(e, &open) && open.Mute:
			mute, muteExposed = true, true
		case errors.As(e, &open):
			exposed = true
		case errors.As(e, &shut) && shut.Mute:
			mute = true
		case errors.As(e, &shut):
			nobody = true
		}
	}
	inFile := o.config != "" && o.listen == nil
	file := filepath.Base(o.config)
	var hints []string
	switch {
	case exposed && inFile:
		hints = append(hints, "to make clients log in, add to "+file+":  auth: {password_file: passwords}")
	case exposed:
		hints = append(hints, "to make clients log in:  "+o.command("--password-file passwords"))
	case nobody:
		hints = append(hints, "to make clients log in, add to "+file+":  auth: {password_file: passwords}")
	}
	if mute {
		hints = append(hints, o.muteHints()...)
	}
	switch {
	case (exposed || muteExposed) && inFile:
		hints = append(hints, "to let everybody in, add to "+file+":  auth: {allow_anonymous: true}")
	case exposed || muteExposed:
		hints = append(hints, "to let everybody in:  "+o.command("--allow-anonymous"))
	}
	if (exposed || nobody) && o.passwordFile == "" {
		hints = append(hints, "mosquitto_passwd -c passwords NAME  makes a password file")
	}
	return hints
}

// muteHints say how clients of MQTT-SN are told apart.
func (o *serveOptions) muteHints() []string {
	file := "a file for -c"
	if o.config != "" {
		file = filepath.Base(o.config)
	}
	return []string{
		"to know clients of MQTT-SN by keys, write in " + file + ":  listeners: [{url: 'mqttsns://HOST:8883', tls: {psk_file: keys}}]",
		"to know them by certificates:  tls: {cert: FILE, key: FILE, client_ca: FILE} there, and auth: {certificate: {}}",
		"to give all of them one name and password:  mqttsn: {clientinfo_override: {username: NAME, password: PASSWORD}}",
		"to approve each of them, over DTLS:  auth: {pairing: {}}; see iotctl pair --help",
	}
}

// certificateHints say how a listener gets its certificate, or does without one.
func (o *serveOptions) certificateHints(err error) []string {
	if o.cert != "" || !strings.Contains(err.Error(), "tls.cert: ") || o.listen == nil {
		return nil
	}
	hints := []string{"a certificate and its key are given with --cert FILE --key FILE"}
	at := slices.IndexFunc(o.listen, func(url string) bool {
		e, err := transport.Parse(url, builtin().Schemes())
		return err == nil && e.Scheme.TLS && e.Scheme.Network == "udp"
	})
	if at >= 0 {
		hints = append(hints, "DTLS needs none where clients have pre-shared keys; in a file for -c:  listeners: [{url: '"+o.listen[at]+"', tls: {psk_file: keys}}]")
	}
	return hints
}
