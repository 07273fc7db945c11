package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/frame"
	gatewayframe "github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// withCodecFile lets a --listen URL name the file of a codec, so that one can be
// tried without a configuration: frame://127.0.0.1:0/./meter.yaml. The file joins
// frame.codecs, and what is returned has the codec's name in its place.
func withCodecFile(c *serve.Config, raw string) (string, error) {
	e, _ := transport.Parse(raw, builtin().Schemes()) // what is wrong with it is reported together with the rest
	file, device := codecFile(e.Path)
	if e.Scheme.Protocol != gatewayframe.Protocol || file == "" {
		return raw, nil
	}
	src, err := readDefinitionFile(file)
	if err != nil {
		var hints []string
		if name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)); errors.Is(err, fs.ErrNotExist) && codecName().MatchString(name) {
			hints = append(hints, "iotctl codec new "+name)
		}
		return "", fail(exitUsage, fmt.Errorf("--listen %s: %w", e, err), hints...)
	}
	d := gatewayframe.Definition{Name: filepath.Clean(file), Source: string(src)}
	settings, _ := c.Gateways[gatewayframe.Protocol].(gatewayframe.Config)
	if !slices.Contains(settings.Codecs, d) { // several listeners may name it
		settings.Codecs = append(slices.Clone(settings.Codecs), d)
	}
	gateways := map[string]any{}
	maps.Copy(gateways, c.Gateways)
	gateways[gatewayframe.Protocol] = settings
	c.Gateways = gateways
	u, err := url.Parse(strings.ReplaceAll(raw, "#", "%23"))
	if err != nil { // it was parsed already
		return "", err
	}
	name := frame.NameIn(src)
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	u.Path, u.RawPath = "/"+name+device, ""
	return u.String(), nil
}

// codecFile takes the path of a URL apart if it names a file: /./meter.yaml/DEVICE
// is ./meter.yaml, and /DEVICE is left.
func codecFile(path string) (file, device string) {
	path = strings.TrimPrefix(path, "/")
	for _, ext := range []string{".yaml", ".yml"} {
		if strings.HasSuffix(path, ext) {
			return path, ""
		}
		if i := strings.Index(path, ext+"/"); i >= 0 {
			return path[:i+len(ext)], path[i+len(ext):]
		}
	}
	if strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") || strings.HasPrefix(path, "/") {
		return path, ""
	}
	return "", ""
}
