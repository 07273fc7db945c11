package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/pebble"
	"github.com/iotctl/iotctl/internal/transport"
)

// serveOptions is the command line of `iotctl serve`.
type serveOptions struct {
	config         string
	testConfig     bool
	listen         []string
	data           string
	ephemeral      bool
	durability     string
	allowAnonymous bool
	passwordFile   string
	aclFile        string
	cert           string
	key            string
	clientCA       string
	logLevel       string
	logFormat      string
	portsFile      string
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the MQTT broker and its gateways",
		Long: `Runs the broker until SIGTERM or Ctrl-C. Without options it serves MQTT on
this machine only, at mqtt://127.0.0.1:1883 and ws://127.0.0.1:8083/mqtt, and
lets everybody in.

Sessions that outlive their connection, the messages that wait for them and
retained messages are on disk before anything is acknowledged, and are there
after a restart, a crash or a power cut. They are kept in a directory that one
broker at a time can use: --data DIR, otherwise iotctl below $XDG_STATE_HOME or
~/.local/state, or what systemd has made (StateDirectory=). With --ephemeral
nothing is kept. --durability weighs safety against speed:

  sync      survives kill -9 and a power cut: an acknowledgement waits for the
            disk, many of them together for one write
  interval  the disk is written once a second, and acknowledgements do not wait
            for it: kill -9 and a power cut take what came since
  memory    survives an orderly end and nothing else

Sessions that end with their connection, and their wills, are never stored; they
do not wait for the disk either. See iotctl help config, iotctl store --help.

Everything else is configured by a file: see iotctl help config.

On an address that other machines can reach it does not start unless clients
have to log in, with a password, a certificate or a pre-shared key, or
--allow-anonymous says that everybody may come in. Unix sockets count as this
machine.

The scheme of a URL given to --listen names protocol and transport:

  mqtt://HOST:PORT     MQTT over TCP, port 1883
  mqtts://HOST:PORT    over TLS, port 8883; needs --cert and --key
  ws://HOST:PORT/PATH  over WebSocket, port 8083, path /mqtt
  wss://HOST:PORT/PATH over secure WebSocket, port 8084
  unix:///PATH         over a Unix socket

Devices that do not speak MQTT have listeners of their own; an s before :// is
TLS, +udp and +dtls are datagrams:

  mqttsn:// mqttsns://     MQTT-SN 1.2 over UDP, port 1884, and over DTLS, port
                           8883, with --cert and --key, or with pre-shared keys
                           (tls.psk_file of a configuration file). Over UDP
                           clients have no password; see clientinfo_override
                           in iotctl help config
  emqtcp:// emqtcps://     the EMQ private TCP protocol, ports 8090 and 8091
  text:// texts://         the text protocol of variables, ports 8071 and 8871
  frame://HOST:PORT/CODEC  a protocol that a file describes, port 8092, frames://
                           port 8093; also frame+udp:// (iotctl codec --help).
                           CODEC is a name, or a file such as ./meter.yaml
  exproto:// exprotos://   what a program of yours knows, ports 7993 and 7994;
                           also exproto+udp:// and exproto+dtls://

HOST 0.0.0.0 stands for all IPv4 addresses, [::] or none for those of IPv6, too.
Port 0 takes a free port. The open ports are listed on standard error once
clients can connect, and --ports writes the list as JSON, for scripts: then and
after each reload.

Signals: SIGHUP reads the configuration file, password files and certificates
again. With anything wrong the broker goes on as it was and logs a list of
problems; clients stay connected in either case. New rules of the ACL file hold
for open connections at once, names and passwords from the next connection on.
SIGTERM and SIGINT tell the clients goodbye and give them 30 seconds; a second
one ends at once.

Under systemd it says when it is ready (Type=notify-reload), feeds the watchdog
and takes over sockets: a socket unit belongs to the listener with the name in
its FileDescriptorName=, or else with its address.`,
		Example: `  iotctl serve
  iotctl serve --ephemeral --listen mqtt://127.0.0.1:0 --ports -
  iotctl serve --data /var/lib/iotctl --durability interval
  iotctl serve --listen mqtt://0.0.0.0:1883 --password-file passwords
  iotctl serve --listen mqtt://127.0.0.1:1883 --listen mqttsn://127.0.0.1:1884
  iotctl serve --listen mqtt://127.0.0.1:1883 --listen frame://127.0.0.1:5023/gt06
  iotctl serve --listen mqtt://127.0.0.1:1883 --listen frame://127.0.0.1:5023/./meter.yaml
  iotctl serve -c iotctl.yaml --test-config`,
		Args:    noArgs,
		GroupID: groupRun,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runServe(cmd.Context(), newTerminal(cmd), &o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.config, "config", "c", "", "read the configuration from a YAML `file`")
	f.BoolVar(&o.testConfig, "test-config", false, "check the configuration and the files that it names, report every problem, and end")
	f.StringArrayVar(&o.listen, "listen", nil, "listen at a `URL`, in place of the default and the configured listeners; may be repeated")
	dataFlag(cmd, &o.data, "keep sessions and messages in this `directory` (default: iotctl in the state directory of the user)")
	f.BoolVar(&o.ephemeral, "ephemeral", false, "keep nothing: sessions and messages end with the broker")
	f.StringVar(&o.durability, "durability", "", "what an acknowledgement `promises`: sync, interval or memory (default: sync, or as configured)")
	f.BoolVar(&o.allowAnonymous, "allow-anonymous", false, "let clients in that do not log in, on every listener")
	f.StringVar(&o.passwordFile, "password-file", "", "clients log in with a name and password from this `file`, in mosquitto's format")
	f.StringVar(&o.aclFile, "acl-file", "", "who may publish and subscribe to what stands in this `file`, in mosquitto's format")
	f.StringVar(&o.cert, "cert", "", "certificate `file` (PEM) of --listen URLs with TLS")
	f.StringVar(&o.key, "key", "", "key `file` that belongs to --cert")
	f.StringVar(&o.clientCA, "client-ca", "", "clients of --listen URLs with TLS need a certificate signed by one in this `file`")
	f.StringVar(&o.logLevel, "log-level", "", "log `level`: debug, info, warn or error (default: info, or as configured)")
	f.StringVar(&o.logFormat, "log-format", "", "log `format`: text or json (default: text, or as configured)")
	f.StringVar(&o.portsFile, "ports", "", "write the open ports as JSON to a `file`, - for standard output, when clients can connect")
	return cmd
}

func runServe(ctx context.Context, t *terminal, o *serveOptions) error {
	cfg, err := o.load()
	if err == nil && o.testConfig {
		err = cfg.Check()
	}
	if err != nil {
		return o.explain(t, err)
	}
	if o.testConfig {
		t.notef("the configuration is valid")
		return nil
	}
	if cfg.Inherited, err = transport.Activation(os.Getenv); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	logger := serve.NewLogger(t.err, cfg.Log.Format, level)
	cfg.Logger = logger
	if cfg.Control == "" {
		if cfg.Control, err = ephemeralControl(); err != nil {
			logger.Debug("no control socket", "err", err)
		}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	var shown []serve.Port
	p := serve.Process{
		Signals: signals, Level: level, Notify: serve.NewNotifier(os.Getenv),
		Load: func() (serve.Config, error) {
			cfg, err := o.load()
			cfg.Logger = logger
			return cfg, err
		},
		Ready: func(s *serve.Server) error {
			ports := s.Ports()
			if shown == nil {
				tellState(t, cfg)
			}
			if !reflect.DeepEqual(ports, shown) {
				writePorts(t.err, ports)
			}
			shown = ports
			return o.writePortsFile(t.out, ports)
		},
	}
	err = p.Run(ctx, cfg)
	if o.portsFile != "" && o.portsFile != "-" {
		_ = os.Remove(o.portsFile)
	}
	var cut *serve.SignalError
	var broken *serve.StoreError
	switch {
	case errors.Is(err, store.ErrDamaged):
		return explainDamaged(stateDir(cfg), err)
	case errors.Is(err, syscall.ENOSPC):
		return explainFull(stateDir(cfg), err)
	case errors.As(err, &cut):
		return signalled{cut.Signal}
	case errors.As(err, &broken):
		return explainBroken(cfg, broken)
	}
	return o.explain(t, err)
}

// load makes the configuration from file and command line; the latter wins.
func (o *serveOptions) load() (serve.Config, error) {
	c := serve.Config{Builtin: builtin()}
	if o.config != "" {
		var err error
		if c, err = serve.LoadFile(o.config, builtin()); err != nil {
			return c, err
		}
	}
	c.Broker.Version = "iotctl version " + readVersion().Version
	if err := o.keep(&c); err != nil {
		return c, err
	}
	if o.listen != nil {
		c.Listeners = nil
	}
	for _, url := range o.listen {
		url, err := withCodecFile(&c, url)
		if err != nil {
			return c, err
		}
		c.Listeners = append(c.Listeners, o.listener(url))
	}
	if o.cert+o.key+o.clientCA != "" && !o.listensTLS() {
		return c, fail(exitUsage, errors.New("--cert, --key and --client-ca are for --listen URLs with TLS, and there is none"),
			"the schemes with TLS are mqtts:// and wss://")
	}
	if o.allowAnonymous {
		c.AllowAnonymous = &o.allowAnonymous
	}
	for key, file := range map[string]string{"password_file": o.passwordFile, "acl_file": o.aclFile} {
		if file == "" {
			continue
		}
		if c.Methods == nil {
			c.Methods = map[string]any{}
		}
		c.Methods[key] = serve.File(file)
	}
	if o.logLevel != "" {
		if err := (*serve.Level)(&c.Log.Level).UnmarshalText([]byte(o.logLevel)); err != nil {
			return c, usagef("--log-level: %w", err)
		}
	}
	if o.logFormat != "" {
		if err := c.Log.Format.UnmarshalText([]byte(o.logFormat)); err != nil {
			return c, usagef("--log-format: %w", err)
		}
	}
	return c, nil
}

// listener is one --listen URL with the options that belong to its scheme.
func (o *serveOptions) listener(url string) serve.Listener {
	l := serve.Listener{URL: url}
	e, err := transport.Parse(url, builtin().Schemes())
	if err != nil || !e.Scheme.TLS {
		return l // what is wrong with it is reported together with the rest
	}
	l.TLS = &transport.ServerTLS{CertFile: o.cert, KeyFile: o.key, ClientCAFile: o.clientCA}
	if o.clientCA != "" {
		l.TLS.ClientAuth = transport.ClientCertRequire
	}
	return l
}

// listensTLS tells whether a --listen URL has TLS, or cannot be read at all,
// which is reported elsewhere.
func (o *serveOptions) listensTLS() bool {
	return slices.ContainsFunc(o.listen, func(url string) bool {
		e, err := transport.Parse(url, builtin().Schemes())
		return err != nil || e.Scheme.TLS
	})
}

// explain prints all of several errors but the last, and adds what to type.
func (o *serveOptions) explain(t *terminal, err error) error {
	var own *failure
	if err == nil || errors.As(err, &own) {
		return err
	}
	code := exitFailed
	var all []error
	var list serve.Problems
	if errors.As(err, &list) {
		code, all = exitUsage, list.Unwrap()
	} else {
		all = joinedIn(err)
	}
	if errors.Is(err, os.ErrNotExist) && len(list) == 0 {
		code = exitUsage // the configuration file
	}
	for _, e := range all[:len(all)-1] {
		t.errorf("%s", e)
	}
	return fail(code, all[len(all)-1], o.hints(err)...)
}

// joinedIn is the errors that err joins, and those that they join; each is
// printed on its own line.
func joinedIn(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, joinedIn(e)...)
	}
	return all
}

// hints says what to type about err.
func (o *serveOptions) hints(err error) []string {
	hints := append(o.loginHints(err), o.certificateHints(err)...)
	var own *serve.Problem
	switch {
	case errors.As(err, &own) && own.Path != "" && errors.Is(own, syscall.EADDRINUSE):
		hints = append(hints, "another broker may be running; to take a free port, "+o.setting(own.Path, "127.0.0.1:0"))
	case errors.Is(err, syscall.EADDRINUSE):
		hints = append(hints, "another broker may be running; --listen mqtt://127.0.0.1:0 takes a free port")
	}
	if errors.Is(err, pebble.ErrInUse) {
		hints = append(hints,
			"for a broker with a state of its own:  "+o.command("--data DIR"),
			"for one that keeps nothing:  "+o.command("--ephemeral"))
	}
	return hints
}

// setting says how the setting at that path is given.
func (o *serveOptions) setting(path, value string) string {
	keys := strings.Split(path, ".")
	text := strings.Join(keys, ": {") + ": " + value + strings.Repeat("}", len(keys)-1)
	if o.config == "" {
		return "write in a file for -c:  " + text
	}
	return "write in " + filepath.Base(o.config) + ":  " + text
}

// command is how serve was called, with something added.
func (o *serveOptions) command(more string) string {
	words := []string{"iotctl serve"}
	if o.config != "" {
		words = append(words, "-c", quoteShell(o.config))
	}
	for _, url := range o.listen {
		words = append(words, "--listen", quoteShell(url))
	}
	return strings.Join(append(words, more), " ")
}

// quoteShell quotes s for a POSIX shell where that is necessary.
func quoteShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,=[]", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// writePorts lists the open ports for people.
func writePorts(w io.Writer, ports []serve.Port) {
	braces := strings.NewReplacer("%7B", "{", "%7D", "}") // of ${cn} in a path, which URLs escape
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PROTOCOL\tTRANSPORT\tADDRESS\tLOG IN WITH\tURL FOR CLIENTS")
	for _, p := range ports {
		login := strings.Join(p.Auth, " or ")
		if login == "anonymous" {
			login = "nothing"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", p.Protocol, p.Transport, p.Address, login, braces.Replace(p.URL))
	}
	tw.Flush()
}

// writePortsFile writes the open ports for scripts. A file appears complete or
// not at all, so that a script may wait for it.
func (o *serveOptions) writePortsFile(stdout io.Writer, ports []serve.Port) error {
	if o.portsFile == "" {
		return nil
	}
	b, err := json.Marshal(ports)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if o.portsFile == "-" {
		_, err := stdout.Write(b)
		return err
	}
	tmp := o.portsFile + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, o.portsFile)
}
