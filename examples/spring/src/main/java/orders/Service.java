package orders;

import java.util.Map;
import java.util.Objects;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/**
 * A service with Spring Boot: orders are for those whose token has `orders:read`.
 *
 * <p>It verifies tokens with the public keys alone, so it does not learn of revocations: a token is
 * good until its `exp`.
 */
@SpringBootApplication
@RestController
public class Service {

    public static void main(String[] args) {
        SpringApplication.run(Service.class, args);
    }

    @Bean
    JwtDecoder jwtDecoder(
        @Value("${ISSUER}") String issuer, @Value("${AUDIENCE}") String audience) {
        NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(issuer + "/.well-known/jwks.json")
            .jwsAlgorithm(SignatureAlgorithm.ES256)
            .validateType(false) // the validator below wants at+jwt
            .build();
        decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
            .issuer(issuer)
            .audience(audience)
            .validators(all -> all.put(
                "client_id", new JwtClaimValidator<String>("client_id", Objects::nonNull)))
            .build());
        return decoder;
    }

    @Bean
    SecurityFilterChain guard(HttpSecurity http) throws Exception {
        return http
            .authorizeHttpRequests(rules -> rules
                .requestMatchers("/orders").hasAuthority("SCOPE_orders:read")
                .anyRequest().denyAll())
            .oauth2ResourceServer(server -> server.jwt(Customizer.withDefaults()))
            .sessionManagement(session -> session
                .sessionCreationPolicy(SessionCreationPolicy.STATELESS))
            .build();
    }

    @GetMapping("/orders")
    Map<String, String> listOrders(@AuthenticationPrincipal Jwt token) {
        return Map.of("for", token.getSubject());
    }
}
