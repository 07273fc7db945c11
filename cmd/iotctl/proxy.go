package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// proxyOptions is the command line of `iotctl proxy`. What a configuration file may
// hold, too, is in the file's form.
type proxyOptions struct {
	config     string
	testConfig bool
	portsFile  string
	logLevel   string
	logFormat  string

	listen    []string
	to        []string
	proxies   []string
	cert      string
	key       string
	clientCA  string
	toCA      string
	toCert    string
	toKey     string
	toName    string
	insecure  bool
	sendProxy string
	balance   string
	health    string
	splice    string
	drain     time.Duration

	set  func(name string) bool // whether the flag was given
	file proxyFile
}

// proxyPart is a group of stages with the flags that belong to them.
type proxyPart struct {
	flags func(*pflag.FlagSet)
	// open makes the stages, in the order of what clients send; none where nothing asks
	// for them.
	open func(*proxyRun) ([]proxy.Factory, error)
}

// proxyRun is one run of the command, for those who make stages.
type proxyRun struct {
	ctx    context.Context
	t      *terminal
	file   *proxyFile
	config *proxy.Config // what is known so far
	check  bool          // nothing will run
	start  []func(ctx context.Context, e *proxy.Engine) error
	atEnd  []func() error
}

// starts has fn called when the ports are open. What it begins ends with ctx, and is
// waited for by what it defers.
func (r *proxyRun) starts(fn func(ctx context.Context, e *proxy.Engine) error) {
	r.start = append(r.start, fn)
}

// defers has fn called when the last connection has ended.
func (r *proxyRun) defers(fn func() error) { r.atEnd = append(r.atEnd, fn) }

// end calls what was deferred, the last first.
func (r *proxyRun) end() error {
	var errs []error
	for i := len(r.atEnd) - 1; i >= 0; i-- {
		errs = append(errs, r.atEnd[i]())
	}
	return errors.Join(errs...)
}

func newProxy() *cobra.Command {
	o := proxyOptions{}
	parts := proxyParts(&o.file)
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Stand between MQTT clients and brokers",
		Long: `Passes MQTT connections on to a broker, over any transport to any other: TLS can
end or begin here, WebSocket become TCP, a Unix socket a port.

The CONNECT of a client is read, and found correct, before a broker is dialed, and
the proxy knows packets from then on: it ends connections whose keep alive has
passed, breaks none off within a packet, and answers what is malformed as a broker
would. With --transparent it passes bytes on and knows nothing of MQTT.

With several brokers a client identifier always comes to the same one (with
--transparent, a client address); the next takes its place while it cannot be
reached. --health watches them.

URLs are those of iotctl serve, and tcp:// and tls:// with a port:

  mqtt://HOST:PORT     TCP, port 1883
  mqtts://HOST:PORT    TLS, port 8883
  ws://HOST:PORT/PATH  WebSocket, port 8083, path /mqtt
  wss://HOST:PORT/PATH secure WebSocket, port 8084
  unix:///PATH         a Unix socket

To listen with TLS needs --cert and --key; with --client-ca clients need a
certificate, too. The certificates of brokers are checked by the authorities of
the operating system, or those of --to-ca.

Brokers see the proxy's address. --send-proxy tells them the client's, by a PROXY
header, which they must expect; --proxies takes such headers from proxies in front.

--show prints a line for each packet, --capture is for Wireshark, and --record for
iotctl proxy replay and diff. --fault breaks packets on purpose: see iotctl help
faults.

Everything else is in a configuration file: see iotctl help proxy-config.

SIGHUP reads certificates, the password for brokers and the access file again.
SIGTERM and SIGINT close the listeners, and the connections when --drain has
passed; the second one at once. Nothing is said for clients then: to the broker
it looks as if their link had died, so it publishes their wills.`,
		Example: `  iotctl proxy --listen mqtt://127.0.0.1:1884 --to mqtt://127.0.0.1:1883
  iotctl proxy --listen mqtts://0.0.0.0:8883 --cert cert.pem --key key.pem --to mqtt://127.0.0.1:1883
  iotctl proxy --listen ws://127.0.0.1:8083/mqtt --to mqtts://broker.example:8883
  iotctl proxy --listen mqtt://0.0.0.0:1883 --to mqtt://10.0.0.1,mqtt://10.0.0.2 --health connect
  iotctl proxy --listen tcp://127.0.0.1:5000 --to tcp://127.0.0.1:6000 --transparent
  iotctl proxy --listen mqtt://127.0.0.1:1884 --to mqtt://127.0.0.1:1883 --show --fault 'drop @ s2c PUBACK / nth=3'
  iotctl proxy -c proxy.yaml --test-config`,
		Args:    noArgs,
		GroupID: groupRun,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.set = cmd.Flags().Changed
			return runProxy(cmd.Context(), newTerminal(cmd), &o, parts)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.listen, "listen", nil, "take clients in at a `URL`; may be repeated")
	f.StringSliceVar(&o.to, "to", nil, "the broker's `URL`; several with commas between, or repeated")
	f.BoolVar(&o.file.Transparent, "transparent", false, "pass bytes on, and know nothing of MQTT")
	f.StringVarP(&o.config, "config", "c", "", "read the configuration from a YAML `file`")
	f.BoolVar(&o.testConfig, "test-config", false, "check the configuration and the files that it names, report every problem, and end")
	f.StringVar(&o.cert, "cert", "", "certificate `file` (PEM) of --listen URLs with TLS")
	f.StringVar(&o.key, "key", "", "key `file` that belongs to --cert")
	f.StringVar(&o.clientCA, "client-ca", "", "clients of --listen URLs with TLS need a certificate signed by one in this `file`")
	f.StringVar(&o.toCA, "to-ca", "", "trust the authorities in this PEM `file` about brokers")
	f.StringVar(&o.toCert, "to-cert", "", "show brokers the client certificate in this `file` (PEM)")
	f.StringVar(&o.toKey, "to-key", "", "key `file` that belongs to --to-cert")
	f.StringVar(&o.toName, "to-server-name", "", "the `name` that the certificates of brokers have to be for (default: the host)")
	f.BoolVar(&o.insecure, "to-insecure", false, "accept any certificate of a broker: whoever is in between can read and change everything")
	f.StringVar((*string)(&o.file.TLSKeylog), "tls-keylog", "", "append the session keys of both sides to this `file`, for Wireshark")
	f.StringVar(&o.sendProxy, "send-proxy", "", "tell brokers the address of the client by a PROXY header of `version` v1 or v2")
	f.StringSliceVar(&o.proxies, "proxies", nil, "connections have to begin with a PROXY header, and come from these `addresses`")
	f.StringVar(&o.balance, "balance", "", "`how` one of several brokers is chosen: hash or least (default: hash, or as configured)")
	f.StringVar(&o.health, "health", "", "`how` brokers are watched: off, tcp, connect or ping (default: off, or as configured)")
	f.StringVar(&o.splice, "splice", "", "`when` the kernel moves bytes by itself, with --transparent: auto, always or never (default: auto, or as configured)")
	f.BoolVar(&o.file.Strict, "strict", false, "parse every packet wholly, and end connections that break a rule")
	f.DurationVar(&o.drain, "drain", 0, "let connections go on for this `time` after SIGTERM")
	f.StringVar(&o.file.Metrics, "metrics", "", "serve metrics for Prometheus at this `address`, as in 127.0.0.1:9641, path /metrics")
	f.StringVar(&o.logLevel, "log-level", "", "log `level`: debug, info, warn or error (default: info, or as configured)")
	f.StringVar(&o.logFormat, "log-format", "", "log `format`: text or json (default: text, or as configured)")
	f.StringVar(&o.portsFile, "ports", "", "write the open ports as JSON to a `file`, - for standard output, when clients can connect")
	for _, p := range parts {
		if p.flags != nil {
			p.flags(f)
		}
	}
	completeProxy(cmd)
	cmd.AddCommand(newProxyCheck(), newProxyReplay(), newProxyDiff())
	return cmd
}

// completeProxy tells shells the words that flags take.
func completeProxy(cmd *cobra.Command) {
	for flag, words := range map[string][]string{
		"balance":    {"hash", "least"},
		"health":     {"off", "tcp", "connect", "ping"},
		"splice":     {"auto", "always", "never"},
		"send-proxy": {"v1", "v2"},
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {"text", "json"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

func runProxy(ctx context.Context, t *terminal, o *proxyOptions, parts []proxyPart) error {
	cfg, err := o.load()
	if err != nil {
		return explainProxy(t, exitUsage, err)
	}
	cfg.Logger = serve.NewLogger(t.err, o.file.Log.Format, slog.Level(o.file.Log.Level))
	run := &proxyRun{ctx: ctx, t: t, file: &o.file, config: &cfg, check: o.testConfig}
	for _, p := range parts {
		stages, err := p.open(run)
		if err != nil {
			return errors.Join(explainProxy(t, exitUsage, err), run.end())
		}
		cfg.Stages = append(cfg.Stages, stages...)
	}
	if err := cfg.Validate(); err != nil {
		return errors.Join(explainProxy(t, exitUsage, err), run.end())
	}
	if o.testConfig {
		if err := cfg.Check(); err != nil {
			return errors.Join(explainProxy(t, exitUsage, err), run.end())
		}
		t.notef("the configuration is valid")
		return run.end()
	}
	err = o.serve(ctx, run, cfg)
	return errors.Join(err, run.end())
}

// serve runs the engine until a signal ends it.
func (o *proxyOptions) serve(ctx context.Context, run *proxyRun, cfg proxy.Config) error {
	t := run.t
	cfg.Metrics = &proxy.Metrics{}
	e, err := proxy.New(ctx, cfg)
	if err != nil {
		return explainProxy(t, exitFailed, err)
	}
	if o.file.Metrics != "" {
		stop, err := serveMetrics(ctx, cfg.Logger, o.file.Metrics, e)
		if err != nil {
			return explainProxy(t, exitFailed, err)
		}
		defer stop()
	}
	ports := proxyPorts(e)
	for _, l := range ports {
		t.notef("%s to %s", l.URL, o.targets())
	}
	w := serveOptions{portsFile: o.portsFile}
	if err := w.writePortsFile(t.out, ports); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, begin := range run.start {
		if err := begin(ctx, e); err != nil {
			return explainProxy(t, exitFailed, err)
		}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx) }()
	stopping := false
	for {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				if err := e.Reload(); err != nil {
					cfg.Logger.Error("certificates and files are not read again", "err", err)
				} else {
					cfg.Logger.Info("certificates and files were read again")
				}
			case stopping:
				e.Cut()
			default:
				stopping = true
				stop()
			}
		}
	}
}

// targets are the brokers, in words.
func (o *proxyOptions) targets() string {
	var names []string
	for _, u := range o.file.To {
		if e, err := transport.Parse(u.URL, proxy.Schemes()); err == nil {
			names = append(names, e.String())
		}
	}
	return strings.Join(names, ", ")
}

// proxyPorts are the open listeners.
func proxyPorts(e *proxy.Engine) []serve.Port {
	var all []serve.Port
	for _, l := range e.Listeners() {
		all = append(all, serve.Port{Protocol: "mqtt", Transport: transportOf(l.Scheme()), Address: l.Addr().String(), URL: l.URL()})
	}
	return all
}

// transportOf is what serve calls it, too.
func transportOf(s transport.Scheme) string {
	switch {
	case s.WebSocket:
		return s.Name
	case s.TLS:
		return "tls"
	}
	return s.Network
}

// serveMetrics answers Prometheus until stop is called.
func serveMetrics(ctx context.Context, log *slog.Logger, address string, e *proxy.Engine) (stop func(), err error) {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/metrics")
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = e.WriteMetrics(w) // whoever asked has gone
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "err", err)
		}
	}()
	log.Info("metrics", "url", "http://"+l.Addr().String()+"/metrics")
	return func() {
		_ = srv.Close()
		<-done
	}, nil
}

// explainProxy prints all of several errors but the last, and adds what to type.
func explainProxy(t *terminal, code exitCode, err error) error {
	var own *failure
	if err == nil || errors.As(err, &own) {
		return err
	}
	all := joinedIn(err)
	for _, e := range all[:len(all)-1] {
		t.errorf("%s", e)
	}
	return fail(code, all[len(all)-1], proxyHints(err)...)
}

// proxyHints says what to type instead.
func proxyHints(err error) []string {
	text := err.Error()
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(text, "metrics: "):
		return []string{"another program listens there; --metrics 127.0.0.1:0 takes a free port"}
	case errors.Is(err, syscall.EADDRINUSE):
		return []string{"another program listens there; --listen mqtt://127.0.0.1:0 takes a free port"}
	case strings.Contains(text, ".tls.cert: no certificate file is named"):
		return []string{"--cert FILE --key FILE"}
	case strings.Contains(text, "not a URL"):
		return []string{"iotctl proxy --listen mqtt://127.0.0.1:1884 --to mqtt://127.0.0.1:1883"}
	}
	return nil
}
