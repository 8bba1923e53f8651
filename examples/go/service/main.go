// A service with Go, golang-jwt and keyfunc: orders are for those whose token has `orders:read`.
//
//	ISSUER=http://127.0.0.1:8080 AUDIENCE=api PORT=9000 go run ./service
//
// It verifies tokens with the public keys alone, so it does not learn of revocations: a token is
// good until its `exp`.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

// verifier returns a function that reads the claims of a good token, and fails for any other one.
func verifier(ctx context.Context, issuer, audience string) func(string) (*claims, error) {
	// once, at the start; it refreshes in the background
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{issuer + "/.well-known/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(5*time.Second))
	return func(text string) (*claims, error) {
		read := new(claims)
		token, err := parser.ParseWithClaims(text, read, keys.Keyfunc)
		if err != nil {
			return nil, err
		}
		if token.Header["typ"] != "at+jwt" || read.Subject == "" || read.ClientID == "" {
			return nil, jwt.ErrTokenMalformed
		}
		return read, nil
	}
}

func refuse(w http.ResponseWriter, status int, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(status)
}

func main() {
	verify := verifier(context.Background(), os.Getenv("ISSUER"), os.Getenv("AUDIENCE"))
	http.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			refuse(w, http.StatusUnauthorized, "Bearer")
			return
		}
		read, err := verify(strings.TrimSpace(token))
		if err != nil {
			log.Print("refused: ", err)
			refuse(w, http.StatusUnauthorized, `Bearer error="invalid_token"`)
			return
		}
		if !slices.Contains(strings.Fields(read.Scope), "orders:read") {
			refuse(w, http.StatusForbidden,
				`Bearer error="insufficient_scope", scope="orders:read"`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"for": read.Subject})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
