package serve_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

// builtinWithMethods has three methods that are as simple as can be: a file of
// user names that may connect, a file of topics that nobody may touch, and the
// common name of a certificate.
func builtinWithMethods() serve.Builtin {
	b := servetest.Builtin()
	b.Methods = []serve.Method{
		serve.NewMethod("certificate", "certificate", serve.WithCertificate, func(*slog.Logger, struct{}) (serve.Checks, error) {
			return serve.Checks{Authenticator: byCommonName{}}, nil
		}),
		serve.NewMethod("names_file", "name", serve.Everywhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			words, err := readWords(f)
			return serve.Checks{Authenticator: names(words)}, err
		}),
		serve.NewMethod("deny_file", "", serve.Nowhere, func(_ *slog.Logger, f serve.File) (serve.Checks, error) {
			words, err := readWords(f)
			return serve.Checks{Authorizer: denied(words)}, err
		}),
	}
	return b
}

func readWords(f serve.File) ([]string, error) {
	b, err := os.ReadFile(string(f))
	if err == nil && strings.Contains(string(b), "!") {
		err = errors.New("line 1: bad word")
	}
	return strings.Fields(string(b)), err
}

type names []string

func (n names) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	switch {
	case !c.HasUsername:
		return auth.Identity{}, auth.Ignore, nil
	case slices.Contains(n, c.Username):
		return auth.Identity{Name: c.Username}, auth.Allow, nil
	}
	return auth.Identity{}, auth.Deny, nil
}

type denied []string

func (d denied) Authorize(_ context.Context, _ *auth.Identity, _ auth.Action, topic string) auth.Verdict {
	if slices.Contains(d, topic) {
		return auth.Deny
	}
	return auth.Allow
}

type byCommonName struct{}

func (byCommonName) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.TLS == nil || len(c.TLS.VerifiedChains) == 0 {
		return auth.Identity{}, auth.Ignore, nil
	}
	return auth.Identity{Name: c.TLS.PeerCertificates[0].Subject.CommonName}, auth.Allow, nil
}
