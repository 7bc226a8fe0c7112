"""Typed doors to the native kernels; nothing else imports the native module."""

from genmem.kernels.compression import Compressed as Compressed
from genmem.kernels.compression import compress as compress
from genmem.kernels.compression import compression_bound as compression_bound
from genmem.kernels.config import config as config
from genmem.kernels.config import show_config as show_config
from genmem.kernels.grad_dot import Factors as Factors
from genmem.kernels.grad_dot import LayerFactors as LayerFactors
from genmem.kernels.grad_dot import TopInfluences as TopInfluences
from genmem.kernels.grad_dot import grad_dot as grad_dot
from genmem.kernels.grad_dot import grad_dot_diagonal as grad_dot_diagonal
from genmem.kernels.grad_dot import grad_products as grad_products
from genmem.kernels.grad_dot import pairs_take_tokens as pairs_take_tokens
from genmem.kernels.grad_dot import top_k as top_k
from genmem.kernels.knn import Neighbors as Neighbors
from genmem.kernels.knn import knn as knn
from genmem.kernels.knn import nearest_sq as nearest_sq
from genmem.kernels.knn import radius_counts as radius_counts
from genmem.kernels.knn import sq_distances as sq_distances
from genmem.kernels.log_kde import Slots as Slots
from genmem.kernels.log_kde import kde_gradient as kde_gradient
from genmem.kernels.log_kde import kde_slots as kde_slots
from genmem.kernels.log_kde import log_kde as log_kde
from genmem.kernels.radial import log_normaliser as log_normaliser
from genmem.kernels.sketch import retrieve as retrieve
from genmem.kernels.sketch import sketch as sketch
from genmem.kernels.work import Work as Work
