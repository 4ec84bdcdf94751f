import { authenticate, defineMiddlewares } from "@medusajs/framework/http"

export default defineMiddlewares({
  routes: [
    {
      matcher: "/static/:file",
      methods: ["GET"],
      middlewares: [authenticate("user", ["session", "bearer"])],
    },
  ],
})
