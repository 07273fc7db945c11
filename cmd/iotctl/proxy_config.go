package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/access"
	"github.com/iotctl/iotctl/internal/proxy/limits"
	"github.com/iotctl/iotctl/internal/proxy/rewrite"
	"github.com/iotctl/iotctl/internal/proxy/translate"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// proxyFile is the schema of the proxy's configuration file.
type proxyFile struct {
	Listen          []serve.ListenerSettings
	To              []proxyTarget
	Balance         proxy.Balance
	Health          proxyHealth
	Transparent     bool
	Splice          proxy.Splice
	SendProxy       int
	Strict          bool
	FollowReference bool
	TLSKeylog       serve.File `yaml:"tls_keylog"`

	ConnectTimeout time.Duration
	MaxConnect     serve.SizeBytes
	DialTimeout    time.Duration
	AnswerTimeout  time.Duration
	MaxPacket      serve.SizeBytes
	KeepAliveSlack *time.Duration // 0: exactly one and a half times
	IdleTimeout    time.Duration
	SendTimeout    time.Duration
	HalfClosed     time.Duration
	DrainTimeout   time.Duration
	Farewell       bool

	Access    access.Config
	Limits    limits.Config
	Rewrite   rewrite.Config
	Translate translate.Config

	Faults  proxyFaults
	Capture serve.File
	Record  serve.File
	Control proxyControl
	Metrics string
	Log     struct {
		Level  serve.Level
		Format serve.Format
	}
}

// proxyTarget is a broker.
type proxyTarget struct {
	URL          string `yaml:"url"`
	LocalAddress []string
	Drain        bool
	TLS          struct {
		CA         serve.File
		Cert       serve.File
		Key        serve.File
		ServerName string
		Insecure   bool
		ALPN       []string
	} `yaml:"tls"`
}

// proxyHealth says how brokers are watched.
type proxyHealth struct {
	Mode         proxy.HealthMode
	Interval     time.Duration
	Timeout      time.Duration
	Fall         int
	Rise         int
	ClientID     string
	Username     string
	PasswordFile serve.File
	Version      mqtt.Version
}

// proxyParts are the stages, in the order of what clients send.
func proxyParts(f *proxyFile) []proxyPart {
	return []proxyPart{
		newProxyTools(f).part(),
		{open: func(*proxyRun) ([]proxy.Factory, error) { return optional("access", access.New, f.Access) }},
		{open: func(*proxyRun) ([]proxy.Factory, error) { return optional("limits", limits.New, f.Limits) }},
		{open: func(*proxyRun) ([]proxy.Factory, error) { return optional("rewrite", rewrite.New, f.Rewrite) }},
		{open: func(*proxyRun) ([]proxy.Factory, error) { return optional("translate", translate.New, f.Translate) }},
	}
}

// factory is a pointer to F that is a proxy.Factory.
type factory[F any] interface {
	*F
	proxy.Factory
}

// optional is the stage that the settings ask for, or none.
func optional[C, F any, P factory[F]](key string, make func(C) (P, error), settings C) ([]proxy.Factory, error) {
	p, err := make(settings)
	if err != nil {
		return nil, prefixed(key, err)
	}
	if p == nil {
		return nil, nil
	}
	return []proxy.Factory{p}, nil
}

// prefixed puts the key of a section before each of the errors that err joins.
func prefixed(key string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for _, e := range joinedIn(err) {
		all = append(all, fmt.Errorf("%s.%w", key, e))
	}
	return errors.Join(all...)
}

// load makes the configuration from file and command line; the latter wins.
func (o *proxyOptions) load() (proxy.Config, error) {
	f := &o.file
	if o.config != "" {
		data, err := os.ReadFile(o.config)
		if err != nil {
			return proxy.Config{}, fail(exitUsage, err)
		}
		given := *f // flags have been parsed into it
		*f = proxyFile{}
		err = serve.LoadSettings(data, o.config, f, func() error { return f.check(filepath.Dir(o.config)) })
		if err != nil {
			return proxy.Config{}, err
		}
		o.keepFlags(&given)
	}
	if err := o.apply(); err != nil {
		return proxy.Config{}, err
	}
	if len(f.Listen) == 0 || len(f.To) == 0 {
		return proxy.Config{}, fail(exitUsage, errors.New("a proxy needs --listen and --to"),
			"iotctl proxy --listen mqtt://127.0.0.1:1884 --to mqtt://127.0.0.1:1883")
	}
	cfg, err := f.config()
	if err != nil {
		return cfg, fail(exitUsage, err)
	}
	o.addTLS(&cfg)
	return cfg, nil
}

// check finds what is wrong with what the file says; files of its stages are relative
// to dir.
func (f *proxyFile) check(dir string) error {
	for _, name := range []*string{&f.Access.File, &f.Rewrite.Credentials.PasswordFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	c, err := f.config()
	if len(c.Listeners) == 0 { // they may be on the command line
		c.Listeners = []proxy.Listener{{URL: "mqtt://127.0.0.1:0"}}
	}
	if len(c.Upstreams) == 0 {
		c.Upstreams = []proxy.Upstream{{URL: "mqtt://127.0.0.1:1883"}}
	}
	return errors.Join(err, c.Validate(), prefixed("access", f.Access.Validate()), prefixed("limits", f.Limits.Validate()),
		prefixed("rewrite", f.Rewrite.Validate()), prefixed("translate", f.Translate.Validate()))
}

// addTLS gives the listeners of the command line its certificate, and all the key log.
func (o *proxyOptions) addTLS(cfg *proxy.Config) {
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		e, err := transport.Parse(l.URL, proxy.Schemes())
		if err != nil || !e.Scheme.TLS {
			continue // what is wrong with it is reported together with the rest
		}
		if o.listen != nil {
			l.TLS = &transport.ServerTLS{CertFile: o.cert, KeyFile: o.key, ClientCAFile: o.clientCA}
			if o.clientCA != "" {
				l.TLS.ClientAuth = transport.ClientCertRequire
			}
		}
		if l.TLS != nil {
			l.TLS.KeyLogFile = string(o.file.TLSKeylog)
		}
	}
}

// keepFlags puts flags of the file's settings, which given has, above the file.
func (o *proxyOptions) keepFlags(given *proxyFile) {
	f := &o.file
	if o.set("transparent") {
		f.Transparent = given.Transparent
	}
	if o.set("strict") {
		f.Strict = given.Strict
	}
	if o.set("tls-keylog") {
		f.TLSKeylog = given.TLSKeylog
	}
	if o.set("metrics") {
		f.Metrics = given.Metrics
	}
}

// apply adds the flags that have another form than the file.
func (o *proxyOptions) apply() error {
	f := &o.file
	if o.listen != nil {
		f.Listen = nil
	}
	for _, url := range o.listen {
		l := serve.ListenerSettings{URL: url, Proxies: o.proxies}
		f.Listen = append(f.Listen, l)
	}
	if o.to != nil {
		f.To = nil
	}
	for _, url := range o.to {
		t := proxyTarget{URL: url}
		t.TLS.CA, t.TLS.Cert, t.TLS.Key = serve.File(o.toCA), serve.File(o.toCert), serve.File(o.toKey)
		t.TLS.ServerName, t.TLS.Insecure = o.toName, o.insecure
		f.To = append(f.To, t)
	}
	if o.drain > 0 {
		f.DrainTimeout = o.drain
	}
	if o.sendProxy != "" {
		i := slices.Index([]string{"", "v1", "v2"}, "v"+strings.TrimPrefix(o.sendProxy, "v"))
		if i < 0 {
			return usagef("--send-proxy: %q is neither v1 nor v2", o.sendProxy)
		}
		f.SendProxy = i
	}
	for _, flag := range []struct {
		name, value string
		into        interface{ UnmarshalText([]byte) error }
	}{
		{"balance", o.balance, &f.Balance},
		{"health", o.health, &f.Health.Mode},
		{"splice", o.splice, &f.Splice},
		{"log-level", o.logLevel, &f.Log.Level},
		{"log-format", o.logFormat, &f.Log.Format},
	} {
		if flag.value == "" {
			continue
		}
		if err := flag.into.UnmarshalText([]byte(flag.value)); err != nil {
			return usagef("--%s: %w", flag.name, err)
		}
	}
	return o.checkTLS()
}

// checkTLS refuses certificates that nobody would see.
func (o *proxyOptions) checkTLS() error {
	uses := func(urls []string) bool {
		return slices.ContainsFunc(urls, func(url string) bool {
			e, err := transport.Parse(url, proxy.Schemes())
			return err != nil || e.Scheme.TLS // what cannot be read is reported elsewhere
		})
	}
	if o.cert+o.key+o.clientCA != "" && !uses(o.listen) {
		return fail(exitUsage, errors.New("--cert, --key and --client-ca are for --listen URLs with TLS, and there is none"),
			"the schemes with TLS are mqtts://, wss:// and tls://")
	}
	if (o.toCA+o.toCert+o.toKey+o.toName != "" || o.insecure) && !uses(o.to) {
		return fail(exitUsage, errors.New("the --to-… options are for --to URLs with TLS, and there is none"),
			"the schemes with TLS are mqtts://, wss:// and tls://")
	}
	return nil
}

// config is what the file says, for the engine.
func (f *proxyFile) config() (proxy.Config, error) {
	c := proxy.Config{
		Balance: f.Balance, Transparent: f.Transparent, Splice: f.Splice, SendProxy: f.SendProxy, Strict: f.Strict,
		FollowReference: f.FollowReference, ConnectTimeout: f.ConnectTimeout, ConnectBytes: int(f.MaxConnect),
		DialTimeout: f.DialTimeout, AnswerTimeout: f.AnswerTimeout, PacketBytes: int(f.MaxPacket),
		IdleTimeout: f.IdleTimeout, SendTimeout: f.SendTimeout, HalfClosed: f.HalfClosed,
		DrainTimeout: f.DrainTimeout, Farewell: f.Farewell,
	}
	if f.KeepAliveSlack != nil {
		c.KeepAliveSlack = max(*f.KeepAliveSlack, time.Nanosecond)
	}
	for i := range f.Listen {
		url, l := f.Listen[i].Config()
		c.Listeners = append(c.Listeners, proxy.Listener{URL: url, ListenConfig: l})
	}
	for _, t := range f.To {
		c.Upstreams = append(c.Upstreams, proxy.Upstream{URL: t.URL, Local: t.LocalAddress, Drain: t.Drain, TLS: &transport.ClientTLS{
			CAFile: string(t.TLS.CA), CertFile: string(t.TLS.Cert), KeyFile: string(t.TLS.Key),
			ServerName: t.TLS.ServerName, SkipVerify: t.TLS.Insecure, ALPN: t.TLS.ALPN, KeyLogFile: string(f.TLSKeylog),
		}})
	}
	h := f.Health
	c.Health = proxy.Health{
		Mode: h.Mode, Interval: h.Interval, Timeout: h.Timeout, Fall: h.Fall, Rise: h.Rise,
		ClientID: h.ClientID, Username: h.Username, Version: h.Version,
	}
	if h.PasswordFile != "" {
		b, err := os.ReadFile(string(h.PasswordFile))
		if err != nil {
			return c, fmt.Errorf("health.password_file: %w", err)
		}
		c.Health.Password = strings.TrimRight(string(b), "\r\n")
	}
	return c, nil
}
